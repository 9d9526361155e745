/* SPDX-License-Identifier: MIT */
/* What an Engine answers to GET /version: what is kept of it ends within its memory. */
#include "fuzz.h"

#include "serve/internal.h"

static void check_word(const char word[RELEASE_WORD_MAX + 1])
{
	ASSERT(memchr(word, '\0', RELEASE_WORD_MAX + 1) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct release release;

	memset(release.version, 'x', sizeof(release.version));
	memset(release.api_version, 'x', sizeof(release.api_version));
	release_keep(&release, (struct slice){(const char *)data, size});
	check_word(release.version);
	check_word(release.api_version);
	return 0;
}
