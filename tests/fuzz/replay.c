/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files and folders of them, without libFuzzer: what
 * was found once stays mended, under every compiler.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>

static unsigned count;

static bool replay_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "rbe");

	if (file == NULL) {
		return false;
	}
	const size_t len = fread(bytes, 1, sizeof(bytes), file);
	const bool good = !ferror(file);
	(void)fclose(file);
	if (!good) {
		return false;
	}
	/* If it aborts, this line says for which file. */
	(void)printf("%s\n", path);
	(void)fflush(stdout);
	(void)LLVMFuzzerTestOneInput(bytes, len);
	count++;
	return true;
}

static void replay_folder(const char *path, DIR *folder)
{
	const struct dirent *entry;
	char name[4096];

	while ((entry = readdir(folder)) != NULL) {
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		(void)replay_file(name);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		if (folder != NULL) {
			replay_folder(argv[i], folder);
			(void)closedir(folder);
		} else if (!replay_file(argv[i])) {
			(void)fprintf(stderr, "replay: cannot read %s\n", argv[i]);
			return 1;
		}
	}
	(void)printf("%u files\n", count);
	return count > 0 ? 0 : 1;
}
