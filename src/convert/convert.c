/* SPDX-License-Identifier: MIT */
#include "convert/convert.h"

#include "convert/sources.h"

#include <errno.h>
#include <stdlib.h>

struct source {
	struct slice name;
	const char *image;
	const char *title;
	int (*convert)(struct input *input, struct draft *draft);
	bool takes_rules;
	const char *switches[4];
};

static const struct source sources[CONVERT_SOURCE_COUNT] = {
        [CONVERT_TECNATIVA] = {.name = {"tecnativa", 9},
                .image = "tecnativa/docker-socket-proxy",
                .title = "Tecnativa's docker-socket-proxy",
                .convert = convert_tecnativa},
        [CONVERT_LINUXSERVER] = {.name = {"linuxserver", 11},
                .image = "linuxserver/socket-proxy",
                .title = "linuxserver's socket-proxy",
                .convert = convert_linuxserver},
        [CONVERT_WOLLOMATIC] = {.name = {"wollomatic", 10},
                .image = "wollomatic/socket-proxy",
                .title = "wollomatic's socket-proxy",
                .convert = convert_wollomatic,
                .switches = {"logjson", "allowhealthcheck", "stoponwatchdog"}},
        [CONVERT_CETUSGUARD] = {.name = {"cetusguard", 10},
                .image = "hectorm/cetusguard",
                .title = "CetusGuard",
                .convert = convert_cetusguard,
                .takes_rules = true,
                .switches = {"no-builtin-rules", "version"}},
};

enum convert_source convert_find_source(struct slice name)
{
	unsigned i = 0;

	while (i < CONVERT_SOURCE_COUNT && !slice_equal(name, sources[i].name)) {
		i++;
	}
	return (enum convert_source)i;
}

/* ── The file ────────────────────────────────────────────────────────────── */

static int read_whole(const char *path, struct draft *draft, struct slice *ret_bytes)
{
	char *bytes = arena_take(&draft->arena, INPUT_SIZE_MAX + 1);
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	if (file == NULL) {
		return draft_fail(draft, (struct policy_place){.file = NULL}, "%s: %s", path,
		        strerrordesc_np(errno));
	}
	const size_t len = fread(bytes, 1, INPUT_SIZE_MAX + 1, file);
	const int error = ferror(file) ? errno : 0;
	if (file != stdin) {
		(void)fclose(file);
	}
	*ret_bytes = (struct slice){bytes, len};
	if (error != 0) {
		return draft_fail(draft, (struct policy_place){.file = NULL}, "%s: %s", path,
		        strerrordesc_np(error));
	}
	return len <= INPUT_SIZE_MAX ? 0
	                             : draft_fail(draft, (struct policy_place){.file = NULL},
	                                       "%s: it is longer than %d bytes", path,
	                                       INPUT_SIZE_MAX);
}

static unsigned count_switches(const struct source *source)
{
	unsigned count = 0;

	while (count < ARRAY_LEN(source->switches) && source->switches[count] != NULL) {
		count++;
	}
	return count;
}

static int convert_bytes(const struct source *source, const char *file, struct slice bytes,
        struct draft *draft)
{
	struct input *input = arena_take(&draft->arena, sizeof(*input));

	*input = (struct input){
	        .arena = &draft->arena,
	        .file = file,
	        .image = source->image,
	        .takes_rules = source->takes_rules,
	        .switches = source->switches,
	        .switch_count = count_switches(source),
	        .draft = draft,
	};
	draft_note(draft, "From %s (%s), by docker-socket-proxy " VERSION " convert.", file,
	        source->title);
	return input_read(input, bytes) < 0 ? -EINVAL : source->convert(input, draft);
}

int convert_run(enum convert_source source, const char *path, FILE *output, FILE *warnings,
        char error[CONVERT_ERROR_MAX])
{
	struct draft draft;
	struct slice bytes;

	ASSERT(source < CONVERT_SOURCE_COUNT);
	error[0] = '\0';
	draft_new(&draft, error);
	const char *file = strcmp(path, "-") == 0 ? "standard input" : path;
	int code = read_whole(path, &draft, &bytes);
	if (code == 0) {
		code = convert_bytes(&sources[source], file, bytes, &draft);
	}
	if (code == 0) {
		code = draft_print(&draft, output);
	}
	struct slice rest = text_slice(&draft.warnings);
	struct slice line;
	while (code == 0 && slice_next(&rest, '\n', &line)) {
		if (line.len > 0) {
			(void)fprintf(warnings, "docker-socket-proxy: %.*s\n", SLICE_FMT(line));
		}
	}
	draft_free(&draft);
	return code;
}
