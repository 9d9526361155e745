/* SPDX-License-Identifier: MIT */
#include "convert/input.h"

#include <errno.h>

int input_add(struct input *input, enum setting_kind kind, struct slice name, struct slice value,
        struct place place)
{
	if (input->count == INPUT_SETTINGS_MAX) {
		return fault_set(input->draft->error, place, "there are more than %d settings",
		        INPUT_SETTINGS_MAX);
	}
	if (memchr(value.ptr, '\0', value.len) != NULL) {
		return fault_set(input->draft->error, place, "a value has a NUL byte in it");
	}
	input->settings[input->count++] = (struct setting){
	        .kind = kind,
	        .name = arena_copy(input->arena, name),
	        .value = arena_copy(input->arena, value),
	        .place = place,
	};
	return 0;
}

/* ── Flags ───────────────────────────────────────────────────────────────── */

/* The quotes of a shell: one word into `word`, and `line` is what follows. False: none is left. */
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

static bool is_switch(const struct input *input, struct slice name)
{
	for (unsigned i = 0; i < input->switch_count; i++) {
		if (slice_equal(name, slice_of(input->switches[i]))) {
			return true;
		}
	}
	return false;
}

int input_add_word(struct input *input, struct words *words, struct slice word, struct place place)
{
	if (words->count == INPUT_SETTINGS_MAX) {
		return fault_set(input->draft->error, place, "there are more than %d words",
		        INPUT_SETTINGS_MAX);
	}
	words->places[words->count] = place;
	words->words[words->count++] = (struct slice){arena_copy(input->arena, word), word.len};
	return 0;
}

int input_add_flags(struct input *input, const struct words *words)
{
	for (unsigned i = 0; i < words->count; i++) {
		const struct place place = words->places[i];
		struct slice value = words->words[i];
		struct slice name;

		if (value.len < 2 || value.ptr[0] != '-') {
			return fault_set(input->draft->error, place,
			        "'%s' is no flag: flags are written -name=value",
			        text_show(value).text);
		}
		const size_t dashes = value.ptr[1] == '-' ? 2 : 1;
		value = slice_behind(value, dashes);
		(void)slice_next(&value, '=', &name);
		if (value.ptr == NULL && is_switch(input, name)) {
			value = SLICE("");
		} else if (value.ptr == NULL) {
			if (++i == words->count) {
				return fault_set(input->draft->error, place,
				        "-%s: its value is missing", text_show(name).text);
			}
			value = words->words[i];
		}
		if (input_add(input, SETTING_FLAG, name, value, place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

int input_add_line(struct input *input, struct words *words, struct slice line, struct place place)
{
	char *memory = arena_take(input->arena, line.len + 1);
	struct text word = text_over(memory, line.len + 1);

	while (next_word(&line, &word)) {
		if (input_add_word(input, words, text_slice(&word), place) < 0) {
			return -EINVAL;
		}
		word = text_over(memory, line.len + 1);
	}
	return 0;
}

/* ── Lines ───────────────────────────────────────────────────────────────── */

static struct slice without_return(struct slice line)
{
	return slice_ends_with(line, SLICE("\r")) ? (struct slice){line.ptr, line.len - 1} : line;
}

int input_read_rules(struct input *input, struct slice lines, struct place place)
{
	struct slice line;

	for (; slice_next(&lines, '\n', &line); place.line++) {
		line = slice_trim(without_return(line));
		if (line.len > 0 && line.ptr[0] != '!' &&
		        input_add(input, SETTING_RULE, SLICE(""), line, place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static struct slice without_export(struct slice line)
{
	line = slice_trim(line);
	return slice_skip(&line, SLICE("export ")) ? slice_trim(line) : line;
}

/* Whether a line begins with NAME=. */
static bool is_variable(struct slice line)
{
	size_t len = 0;

	line = without_export(line);
	while (len < line.len && input_is_name_char(line.ptr[len])) {
		len++;
	}
	return len > 0 && len < line.len && line.ptr[len] == '=' && !ascii_is_digit(line.ptr[0]);
}

/*
 * The value that begins at `rest`, which may be in quotes and then go over
 * several lines; `rest` is moved behind its last line. False: the quote does not end.
 */
static bool next_value(struct slice *rest, struct slice *ret_value, unsigned *ret_lines)
{
	struct slice line;
	const char quote = rest->len > 0 ? rest->ptr[0] : '\0';

	*ret_lines = 1;
	if (quote == '"' || quote == '\'') {
		const char *end = memchr(rest->ptr + 1, quote, rest->len - 1);
		if (end == NULL) {
			return false;
		}
		*ret_value = slice_between(rest->ptr + 1, end);
		for (size_t i = 0; i < ret_value->len; i++) {
			*ret_lines += ret_value->ptr[i] == '\n';
		}
		*rest = slice_between(end + 1, rest->ptr + rest->len);
		return slice_next(rest, '\n', &line);
	}
	(void)slice_next(rest, '\n', &line);
	line = without_return(line);
	const char *comment = memmem(line.ptr, line.len, " #", 2);
	*ret_value = slice_trim(comment == NULL ? line : slice_between(line.ptr, comment));
	return true;
}

static int read_variables(struct input *input, struct slice bytes)
{
	struct place place = {input->file, 1};
	unsigned lines = 1;

	for (; bytes.ptr != NULL; place.line += lines) {
		struct slice rest = bytes;
		struct slice line;
		struct slice value;
		lines = 1;
		(void)slice_next(&rest, '\n', &line);
		const struct slice said = without_export(without_return(line));
		if (said.len == 0 || said.ptr[0] == '#') {
			bytes = rest;
			continue;
		}
		if (!is_variable(said)) {
			return fault_set(input->draft->error, place,
			        "'%s' is neither NAME=value nor a comment", text_show(said).text);
		}
		const char *equals = memchr(said.ptr, '=', said.len);
		bytes = slice_between(equals + 1, bytes.ptr + bytes.len);
		if (!next_value(&bytes, &value, &lines)) {
			return fault_set(input->draft->error, place,
			        "the quote that opens a value is "
			        "not closed");
		}
		if (input_add(input, SETTING_VARIABLE, slice_between(said.ptr, equals), value,
		            place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_flag_lines(struct input *input, struct slice bytes)
{
	struct words *words = arena_take(input->arena, sizeof(*words));
	struct place place = {input->file, 1};
	struct slice line;

	for (; slice_next(&bytes, '\n', &line); place.line++) {
		line = slice_trim(without_return(line));
		if (line.len > 0 && line.ptr[0] != '#' &&
		        input_add_line(input, words, line, place) < 0) {
			return -EINVAL;
		}
	}
	return input_add_flags(input, words);
}

/* ── The form ────────────────────────────────────────────────────────────── */

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

/* Editors of some systems put U+FEFF in front. */
static struct slice without_mark(struct slice bytes)
{
	const struct slice mark = SLICE("\xef\xbb\xbf");
	const size_t len = slice_starts_with(bytes, mark) ? mark.len : 0;

	return (struct slice){bytes.ptr + len, bytes.len - len};
}

int input_read(struct input *input, struct slice bytes)
{
	bytes = without_mark(bytes);
	struct slice rest = bytes;
	struct slice line = SLICE("");

	while (slice_next(&rest, '\n', &line)) {
		line = slice_trim(without_return(line));
		if (line.len > 0 && line.ptr[0] != '#' &&
		        (line.ptr[0] != '!' || !input->takes_rules)) {
			break;
		}
		line = SLICE("");
	}
	if (line.len == 0 && !input->takes_rules) {
		return fault_set(input->draft->error, (struct place){input->file, 1},
		        "there is nothing in it");
	}
	if (input->takes_rules && (line.len == 0 || is_rule(line))) {
		return input_read_rules(input, bytes, (struct place){input->file, 1});
	}
	if (line.len > 1 && line.ptr[0] == '-' &&
	        (input_is_name_char(line.ptr[1]) || line.ptr[1] == '-') &&
	        !slice_equal(line, SLICE("---"))) {
		return read_flag_lines(input, bytes);
	}
	return is_variable(line) ? read_variables(input, bytes) : input_read_compose(input, bytes);
}

/* ── Looking up ──────────────────────────────────────────────────────────── */

const struct setting *input_find(const struct input *input, const char *flag, const char *variable)
{
	const struct setting *found = NULL;

	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const bool by_flag = flag != NULL && setting->kind == SETTING_FLAG &&
		                     strcmp(setting->name, flag) == 0;
		const bool by_variable = setting->kind == SETTING_VARIABLE &&
		                         strcmp(setting->name, variable) == 0 &&
		                         (found == NULL || found->kind == SETTING_VARIABLE);
		if (by_flag || by_variable) {
			found = setting;
		}
	}
	return found;
}

const char *input_value(
        const struct input *input, const char *flag, const char *variable, const char *preset)
{
	const struct setting *setting = input_find(input, flag, variable);

	return setting == NULL || setting->value[0] == '\0' ? preset : setting->value;
}

struct place input_place(const struct input *input, const char *flag, const char *variable)
{
	const struct setting *setting = input_find(input, flag, variable);

	return setting == NULL ? (struct place){input->file, 1} : setting->place;
}

bool input_is_true(const struct setting *setting)
{
	static const char *const words[] = {"1", "t", "T", "TRUE", "true", "True"};

	if (setting == NULL) {
		return false;
	}
	if (setting->kind == SETTING_FLAG && setting->value[0] == '\0') {
		return true;
	}
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(setting->value, words[i]) == 0) {
			return true;
		}
	}
	return false;
}
