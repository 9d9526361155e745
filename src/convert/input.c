/* SPDX-License-Identifier: MIT */
#include "convert/input.h"

#include "base/text.h"

#include <errno.h>

int input_add(struct input *input, enum setting_kind kind, struct slice name, struct slice value,
        struct place place)
{
	if (input->count == INPUT_SETTINGS_MAX) {
		return fault_set(
		        input->error, place, "there are more than %d settings", INPUT_SETTINGS_MAX);
	}
	if (value.ptr != NULL && memchr(value.ptr, '\0', value.len) != NULL) {
		return fault_set(input->error, place, "a value has a NUL byte in it");
	}
	input->settings[input->count++] = (struct setting){
	        .kind = kind,
	        .name = check_memory(arena_copy(input->arena, name)),
	        .value = check_memory(arena_copy(input->arena, value)),
	        .place = place,
	};
	return 0;
}

/* ── Flags ───────────────────────────────────────────────────────────────── */

/* One word into `word`, with the quotes of a shell; `line` is the rest. False: no word is left. */
static bool next_word(struct slice *line, struct text *word)
{
	char quote = '\0';
	size_t i = 0;

	while (i < line->len && strchr(" \t\r\n", line->ptr[i]) != NULL) {
		i++;
	}
	if (i == line->len) {
		return false;
	}
	for (; i < line->len; i++) {
		const char c = line->ptr[i];
		if (quote == '\0' && strchr(" \t\r\n", c) != NULL) {
			break;
		}
		if (c == quote) {
			quote = '\0';
		} else if (quote == '\0' && (c == '\'' || c == '"')) {
			quote = c;
		} else {
			text_add_char(word, c);
		}
	}
	*line = slice_behind(*line, i);
	return true;
}

static bool is_alone(const struct input *input, struct slice flag)
{
	const struct setting setting = {
	        .kind = SETTING_FLAG, .name = check_memory(arena_copy(input->arena, flag))};
	const struct known_setting *known = input_known(input, &setting);

	return known != NULL && known->alone;
}

int input_add_flag(struct input *input, struct slice word, struct place place)
{
	struct slice value = word;
	struct slice name = input->pending;

	if (name.ptr != NULL) {
		input->pending.ptr = NULL;
		return input_add(input, SETTING_FLAG, name, value, place);
	}
	if (word.len < 2 || word.ptr[0] != '-') {
		return fault_set(input->error, place,
		        "'%s' is not a flag: flags have the form -name=value",
		        text_show(word).text);
	}
	value = slice_behind(word, word.ptr[1] == '-' ? 2 : 1);
	(void)slice_next(&value, '=', &name);
	if (value.ptr == NULL && !is_alone(input, name)) {
		input->pending =
		        (struct slice){check_memory(arena_copy(input->arena, name)), name.len};
		input->pending_place = place;
		return 0;
	}
	return input_add(input, SETTING_FLAG, name, value.ptr == NULL ? SLICE("") : value, place);
}

int input_add_flags(struct input *input, struct slice line, struct place place)
{
	char *memory = check_memory(arena_take(input->arena, line.len + 1));
	struct text word = text_over(memory, line.len + 1);

	while (next_word(&line, &word)) {
		if (input_add_flag(input, text_slice(&word), place) < 0) {
			return -EINVAL;
		}
		word = text_over(memory, line.len + 1);
	}
	return 0;
}

int input_end_flags(struct input *input)
{
	return input->pending.ptr == NULL
	               ? 0
	               : fault_set(input->error, input->pending_place, "-%s: its value is missing",
	                         text_show(input->pending).text);
}

/* ── Lines ───────────────────────────────────────────────────────────────── */

/* The next line, trimmed, without a carriage return; false: no line is left. */
static bool next_line(struct slice *rest, struct slice *ret_line)
{
	if (!slice_next(rest, '\n', ret_line)) {
		return false;
	}
	ret_line->len -= slice_ends_with(*ret_line, SLICE("\r"));
	*ret_line = slice_trim(*ret_line);
	return true;
}

int input_read_flags(struct input *input, struct slice bytes)
{
	struct place place = {input->file, 1};
	struct slice line;

	for (; next_line(&bytes, &line); place.line++) {
		if (line.len > 0 && line.ptr[0] != '#' && input_add_flags(input, line, place) < 0) {
			return -EINVAL;
		}
	}
	return input_end_flags(input);
}

int input_read_rules(struct input *input, struct slice lines, struct place place)
{
	struct slice line;

	for (; next_line(&lines, &line); place.line++) {
		if (line.len > 0 && line.ptr[0] != '!' &&
		        input_add(input, SETTING_RULE, SLICE(""), line, place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* The length of the variable's name at the front; 0: there is no name with "=" behind it. */
static size_t variable_len(struct slice line)
{
	size_t len = 0;

	while (len < line.len && input_is_name_char(line.ptr[len])) {
		len++;
	}
	return len < line.len && line.ptr[len] == '=' && !ascii_is_digit(line.ptr[0]) ? len : 0;
}

static void skip_export(struct slice *line)
{
	if (slice_skip(line, SLICE("export "))) {
		*line = slice_trim(*line);
	}
}

bool input_is_variable(struct slice line)
{
	skip_export(&line);
	return variable_len(line) > 0;
}

/*
 * The value at the front of `rest`; in quotes it may have several lines. `rest` then begins behind
 * the last line of the value. False: the closing quote is missing.
 */
static bool next_value(struct slice *rest, struct slice *ret_value)
{
	struct slice line;
	const char quote = rest->len > 0 ? rest->ptr[0] : '\0';

	if (quote == '"' || quote == '\'') {
		const char *end = memchr(rest->ptr + 1, quote, rest->len - 1);
		if (end == NULL) {
			return false;
		}
		*ret_value = slice_between(rest->ptr + 1, end);
		*rest = slice_between(end + 1, rest->ptr + rest->len);
		return slice_next(rest, '\n', &line);
	}
	(void)next_line(rest, &line);
	const char *comment = memmem(line.ptr, line.len, " #", 2);
	*ret_value = slice_trim(comment == NULL ? line : slice_between(line.ptr, comment));
	return true;
}

int input_read_variables(struct input *input, struct slice bytes)
{
	struct place place = {input->file, 1};
	const char *end = bytes.ptr + bytes.len;

	while (bytes.ptr != NULL) {
		const char *begin = bytes.ptr;
		struct slice line;
		struct slice value = SLICE("");
		(void)next_line(&bytes, &line);
		if (line.len > 0 && line.ptr[0] != '#') {
			skip_export(&line);
			const struct slice name = {line.ptr, variable_len(line)};
			if (name.len == 0) {
				return fault_set(input->error, place,
				        "'%s' is neither NAME=value nor a comment",
				        text_show(line).text);
			}
			bytes = slice_between(name.ptr + name.len + 1, end);
			if (!next_value(&bytes, &value)) {
				return fault_set(input->error, place,
				        "the quote that opens a value is not closed");
			}
			if (input_add(input, SETTING_VARIABLE, name, value, place) < 0) {
				return -EINVAL;
			}
		}
		const char *stop = bytes.ptr != NULL ? bytes.ptr : end;
		for (; begin < stop; begin++) {
			place.line += *begin == '\n';
		}
	}
	return 0;
}

/* ── Looking up ──────────────────────────────────────────────────────────── */

static bool is_setting(const struct known_setting *known, const struct setting *setting)
{
	const char *name = setting->kind == SETTING_FLAG       ? known->flag
	                   : setting->kind == SETTING_VARIABLE ? known->variable
	                                                       : NULL;
	const size_t len = name == NULL ? 0 : strlen(name);

	return len > 0 && strncmp(setting->name, name, len) == 0 &&
	       (setting->name[len] == '\0' ||
	               (known->numbered && setting->kind == SETTING_VARIABLE &&
	                       setting->name[len] == '_'));
}

static bool is_row(const struct known_setting *known)
{
	return known->flag != NULL || known->variable != NULL;
}

const struct known_setting *input_known(const struct input *input, const struct setting *setting)
{
	const struct known_setting *known = input->known;

	while (is_row(known) && !is_setting(known, setting)) {
		known++;
	}
	return is_row(known) ? known : NULL;
}

const struct setting *input_find(const struct input *input, const char *name)
{
	const struct known_setting *known = input->known;
	const struct setting *found = NULL;

	while ((known->flag == NULL || strcmp(known->flag, name) != 0) &&
	        (known->variable == NULL || strcmp(known->variable, name) != 0)) {
		ASSERT(is_row(known));
		known++;
	}
	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const bool weaker = found != NULL && found->kind == SETTING_FLAG &&
		                    setting->kind == SETTING_VARIABLE;
		if (is_setting(known, setting) && !weaker) {
			found = setting;
		}
	}
	return found;
}

const char *input_value(const struct input *input, const char *name, const char *preset)
{
	const struct setting *setting = input_find(input, name);

	return setting == NULL || setting->value[0] == '\0' ? preset : setting->value;
}

struct place input_place(const struct input *input, const char *name)
{
	const struct setting *setting = input_find(input, name);

	return setting == NULL ? (struct place){input->file, 1} : setting->place;
}

bool input_is_true(const struct input *input, const char *name)
{
	static const char *const words[] = {"1", "t", "T", "TRUE", "true", "True"};
	const struct setting *setting = input_find(input, name);
	bool is_true =
	        setting != NULL && setting->kind == SETTING_FLAG && setting->value[0] == '\0';

	for (unsigned i = 0; setting != NULL && i < ARRAY_LEN(words); i++) {
		is_true = is_true || strcmp(setting->value, words[i]) == 0;
	}
	return is_true;
}
