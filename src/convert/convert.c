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
        [CONVERT_TECNATIVA] = {.name = SLICE_INIT("tecnativa"),
                .image = "tecnativa/docker-socket-proxy",
                .title = "Tecnativa's docker-socket-proxy",
                .convert = convert_tecnativa},
        [CONVERT_LINUXSERVER] = {.name = SLICE_INIT("linuxserver"),
                .image = "linuxserver/socket-proxy",
                .title = "linuxserver's socket-proxy",
                .convert = convert_linuxserver},
        [CONVERT_WOLLOMATIC] = {.name = SLICE_INIT("wollomatic"),
                .image = "wollomatic/socket-proxy",
                .title = "wollomatic's socket-proxy",
                .convert = convert_wollomatic,
                .switches = {"logjson", "allowhealthcheck", "stoponwatchdog"}},
        [CONVERT_CETUSGUARD] = {.name = SLICE_INIT("cetusguard"),
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

/* ── Converting ────────────────────────────────────────────────────────────── */

static unsigned count_switches(const struct source *source)
{
	unsigned count = 0;

	while (count < ARRAY_LEN(source->switches) && source->switches[count] != NULL) {
		count++;
	}
	return count;
}

/* "SP_LISTENIP" of "listenip": the name behind `prefix` in upper case, dashes as underscores. */
static bool is_variable_of(const char *variable, const char *prefix, const char *flag)
{
	const size_t len = strlen(prefix);
	size_t i = 0;

	for (; flag[i] != '\0'; i++) {
		const char c = flag[i] == '-' ? '_' : flag[i];
		if (variable[len + i] == '\0' || ascii_lower(variable[len + i]) != ascii_lower(c)) {
			return false;
		}
	}
	return variable[len + i] == '\0';
}

void convert_note_unknown(
        struct draft *draft, const struct known_settings *known, const struct setting *setting)
{
	const bool is_flag = setting->kind == SETTING_FLAG;
	bool found = !is_flag &&
	             (setting->kind != SETTING_VARIABLE ||
	                     strncmp(setting->name, known->prefix, strlen(known->prefix)) != 0);

	for (unsigned i = 0; !found && i < known->flag_count; i++) {
		found = is_flag ? strcmp(setting->name, known->flags[i]) == 0
		                : is_variable_of(setting->name, known->prefix, known->flags[i]);
	}
	if (!found) {
		draft_say(draft, DRAFT_LOST, "%s%s: the original has no such setting.",
		        is_flag ? "-" : "", setting->name);
	}
}

static int write_draft(
        const struct source *source, const char *file, struct slice bytes, struct draft *draft)
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
	if (bytes.len > INPUT_SIZE_MAX) {
		return fault_set(draft->error, NOWHERE, "%s: it is longer than %d bytes", file,
		        INPUT_SIZE_MAX);
	}
	draft_say(draft, DRAFT_NOTE, "From %s (%s), by docker-socket-proxy " VERSION " convert.",
	        file, source->title);
	return input_read(input, bytes) < 0 ? -EINVAL : source->convert(input, draft);
}

static void print_warnings(const struct draft *draft, FILE *warnings)
{
	struct slice rest = text_slice(&draft->warnings);
	struct slice line;

	while (slice_next(&rest, '\n', &line)) {
		if (line.len > 0) {
			(void)fprintf(warnings, "docker-socket-proxy: %.*s\n", SLICE_FMT(line));
		}
	}
}

int convert_bytes(enum convert_source source, const char *file, struct slice bytes, FILE *output,
        FILE *warnings, char error[FAULT_MAX])
{
	struct draft draft;

	ASSERT(source < CONVERT_SOURCE_COUNT);
	error[0] = '\0';
	draft_new(&draft, error);
	int code = write_draft(&sources[source], file, bytes, &draft);
	if (code == 0) {
		code = draft_print(&draft, output);
	}
	if (code == 0) {
		print_warnings(&draft, warnings);
	}
	draft_free(&draft);
	return code;
}

/* ── The file ────────────────────────────────────────────────────────────── */

/* At most one byte more than are accepted. */
static int read_whole(const char *path, char *bytes, size_t *ret_len, char error[FAULT_MAX])
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	if (file == NULL) {
		return fault_set(error, NOWHERE, "%.512s: %s", path, strerrordesc_np(errno));
	}
	*ret_len = fread(bytes, 1, INPUT_SIZE_MAX + 1, file);
	const int problem = ferror(file) ? errno : 0;
	if (file != stdin) {
		(void)fclose(file);
	}
	return problem == 0
	               ? 0
	               : fault_set(error, NOWHERE, "%.512s: %s", path, strerrordesc_np(problem));
}

int convert_run(enum convert_source source, const char *path, FILE *output, FILE *warnings,
        char error[FAULT_MAX])
{
	char *bytes = malloc(INPUT_SIZE_MAX + 1);
	size_t len = 0;

	ASSERT(bytes != NULL);
	int code = read_whole(path, bytes, &len, error);
	if (code == 0) {
		code = convert_bytes(source, strcmp(path, "-") == 0 ? "standard input" : path,
		        (struct slice){bytes, len}, output, warnings, error);
	}
	free(bytes);
	return code;
}
