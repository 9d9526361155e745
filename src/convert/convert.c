/* SPDX-License-Identifier: MIT */
#include "convert/convert.h"

#include "base/file.h"
#include "convert/compose.h"
#include "convert/sources.h"
#include "switches/switches.h"

#include <errno.h>
#include <stdlib.h>

struct source {
	struct slice name;
	const char *image;
	const char *title;
	int (*convert)(struct input *input, struct draft *draft);
	const struct known_setting *known;
	const char *prefix; /* of all its variables */
	bool takes_rules;
	bool has_switches; /* those of switches/ */
};

static const struct source sources[CONVERT_SOURCE_COUNT] = {
        [CONVERT_TECNATIVA] = {.name = SLICE_INIT("tecnativa"),
                .image = "tecnativa/docker-socket-proxy",
                .title = "Tecnativa's docker-socket-proxy",
                .convert = convert_tecnativa,
                .known = convert_switched_settings,
                .prefix = "",
                .has_switches = true},
        [CONVERT_LINUXSERVER] = {.name = SLICE_INIT("linuxserver"),
                .image = "linuxserver/socket-proxy",
                .title = "linuxserver's socket-proxy",
                .convert = convert_linuxserver,
                .known = convert_switched_settings,
                .prefix = "",
                .has_switches = true},
        [CONVERT_WOLLOMATIC] = {.name = SLICE_INIT("wollomatic"),
                .image = "wollomatic/socket-proxy",
                .title = "wollomatic's socket-proxy",
                .convert = convert_wollomatic,
                .known = convert_wollomatic_settings,
                .prefix = "SP_"},
        [CONVERT_CETUSGUARD] = {.name = SLICE_INIT("cetusguard"),
                .image = "hectorm/cetusguard",
                .title = "CetusGuard",
                .convert = convert_cetusguard,
                .known = convert_cetusguard_settings,
                .prefix = "CETUSGUARD_",
                .takes_rules = true},
};

enum convert_source convert_find_source(struct slice name)
{
	unsigned i = 0;

	while (i < CONVERT_SOURCE_COUNT && !slice_equal(name, sources[i].name)) {
		i++;
	}
	return (enum convert_source)i;
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

/* "GET,HEAD pattern" */
static bool is_rule(struct slice line)
{
	size_t len = 0;

	while (len < line.len &&
	        ((line.ptr[len] >= 'A' && line.ptr[len] <= 'Z') || line.ptr[len] == ',')) {
		len++;
	}
	return len > 0 && len < line.len && (line.ptr[len] == ' ' || line.ptr[len] == '\t');
}

static bool is_flag(struct slice line)
{
	return line.len > 1 && line.ptr[0] == '-' &&
	       (input_is_name_char(line.ptr[1]) || line.ptr[1] == '-') &&
	       !slice_equal(line, SLICE("---"));
}

/* The first line that is not empty and not a comment, trimmed; empty: there is none. */
static struct slice first_line(const struct input *input, struct slice bytes)
{
	struct slice line;

	while (slice_next(&bytes, '\n', &line)) {
		line.len -= slice_ends_with(line, SLICE("\r"));
		line = slice_trim(line);
		if (line.len > 0 && line.ptr[0] != '#' &&
		        (line.ptr[0] != '!' || !input->takes_rules)) {
			return line;
		}
	}
	return SLICE("");
}

/* The first line decides which form the input has. */
static int read_input(struct input *input, struct slice bytes, struct draft *draft)
{
	const struct place top = {input->file, 1};

	(void)slice_skip(&bytes, SLICE("\xef\xbb\xbf")); /* U+FEFF, which some editors write */
	const struct slice line = first_line(input, bytes);
	if (line.len == 0 && !input->takes_rules) {
		return fault_set(input->error, top, "it is empty");
	}
	if (input->takes_rules && (line.len == 0 || is_rule(line))) {
		return input_read_rules(input, bytes, top);
	}
	if (is_flag(line)) {
		return input_read_flags(input, bytes);
	}
	return input_is_variable(line) ? input_read_variables(input, bytes)
	                               : compose_read(input, bytes, draft);
}

static bool is_own(const struct source *source, const struct input *input, unsigned i)
{
	const struct setting *setting = &input->settings[i];

	return setting->kind == SETTING_RULE || input_known(input, setting) != NULL ||
	       (source->has_switches && setting->kind == SETTING_VARIABLE &&
	               switches_find(slice_of(setting->name)) < SWITCHES_COUNT);
}

/* Whether its name looks like one of the original's. */
static bool is_named(const struct source *source, const struct setting *setting)
{
	return setting->kind == SETTING_VARIABLE &&
	       slice_starts_with(slice_of(setting->name), slice_of(source->prefix));
}

/* Refuse settings that are all of another program. */
static int check_origin(const struct source *source, const struct input *input)
{
	bool own = input->service != NULL || input->count == 0;

	for (unsigned i = 0; !own && i < input->count; i++) {
		own = is_own(source, input, i) ||
		      (source->prefix[0] != '\0' && is_named(source, &input->settings[i]));
	}
	return own ? 0
	           : fault_set(input->error, input->settings[0].place,
	                     "neither %s nor any other setting here belongs to %s: --from names "
	                     "the proxy that they belong to",
	                     text_show(slice_of(input->settings[0].name)).text, source->title);
}

/* Comments for settings with a counterpart outside the file, and for settings that the original
 * does not have, probably misspelt. */
static void note_settings(
        const struct source *source, const struct input *input, struct draft *draft)
{
	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const struct known_setting *known = input_known(input, setting);
		const bool flag = setting->kind == SETTING_FLAG;
		if (known != NULL && known->note != NULL) {
			draft_say(draft, DRAFT_NOTE, "%s%s%s %s.", setting->name,
			        setting->value[0] != '\0' ? "=" : "", setting->value, known->note);
		} else if ((flag || is_named(source, setting)) && !is_own(source, input, i)) {
			draft_say(draft, DRAFT_LOST, "%s%s: the original has no such setting.",
			        flag ? "-" : "", setting->name);
		}
	}
}

/* ── Converting ──────────────────────────────────────────────────────────── */

static int write_draft(const struct convert_order *order, struct slice bytes, struct draft *draft)
{
	const struct source *source = &sources[order->source];
	struct input *input = check_memory(arena_take(&draft->arena, sizeof(*input)));

	*input = (struct input){
	        .arena = &draft->arena,
	        .file = strcmp(order->file, "-") == 0 ? "standard input" : order->file,
	        .image = source->image,
	        .service = order->service,
	        .takes_rules = source->takes_rules,
	        .known = source->known,
	        .error = draft->error,
	};
	if (bytes.len > INPUT_SIZE_MAX) {
		return fault_set(draft->error, NOWHERE, "%s: it is longer than %d bytes",
		        input->file, INPUT_SIZE_MAX);
	}
	draft_say(draft, DRAFT_NOTE, "From %s (%s), by docker-socket-proxy " VERSION " convert.",
	        input->file, source->title);
	if (read_input(input, bytes, draft) < 0 || check_origin(source, input) < 0) {
		return -EINVAL;
	}
	note_settings(source, input, draft);
	return source->convert(input, draft) < 0 ? -EINVAL : draft_check_size(draft);
}

int convert_bytes(const struct convert_order *order, struct slice bytes, FILE *output,
        FILE *warnings, char error[FAULT_MAX])
{
	struct draft draft;

	ASSERT(order->source < CONVERT_SOURCE_COUNT);
	error[0] = '\0';
	draft_new(&draft, error);
	const int code = write_draft(order, bytes, &draft);
	if (code == 0) {
		draft_print(&draft, output, warnings);
	}
	draft_free(&draft);
	return code;
}

int convert_run(
        const struct convert_order *order, FILE *output, FILE *warnings, char error[FAULT_MAX])
{
	const size_t max = INPUT_SIZE_MAX + 1; /* one byte more shows that it is too long */
	char *bytes = check_memory(malloc(max));

	const ssize_t len = file_read(order->file, bytes, max);
	const int code = len < 0 ? fault_set(error, NOWHERE, "%.512s: %s", order->file,
	                                   strerrordesc_np((int)-len))
	                         : convert_bytes(order, (struct slice){bytes, (size_t)len}, output,
	                                   warnings, error);
	free(bytes);
	return code;
}
