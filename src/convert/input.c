/* SPDX-License-Identifier: MIT */
#include "convert/input.h"

#include <errno.h>

static bool is_name_char(char c)
{
	return ascii_is_alnum(c) || c == '_';
}

static int add(struct input *input, enum setting_kind kind, struct slice name, struct slice value,
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

struct words {
	struct slice words[INPUT_SETTINGS_MAX];
	struct place places[INPUT_SETTINGS_MAX];
	unsigned count;
};

static int add_word(struct input *input, struct words *words, struct slice word, struct place place)
{
	if (words->count == INPUT_SETTINGS_MAX) {
		return fault_set(input->draft->error, place, "there are more than %d words",
		        INPUT_SETTINGS_MAX);
	}
	words->places[words->count] = place;
	words->words[words->count++] = (struct slice){arena_copy(input->arena, word), word.len};
	return 0;
}

/* "-name=value", "--name=value", "-name value", and of switches "-name". */
static int add_flags(struct input *input, const struct words *words)
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
		if (add(input, SETTING_FLAG, name, value, place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int split_words(
        struct input *input, struct slice line, struct place place, struct words *words)
{
	char *memory = arena_take(input->arena, line.len + 1);
	struct text word = text_over(memory, line.len + 1);

	while (next_word(&line, &word)) {
		if (add_word(input, words, text_slice(&word), place) < 0) {
			return -EINVAL;
		}
		word = text_over(memory, line.len + 1);
	}
	return 0;
}

int input_read_words(struct input *input, struct slice line, struct place place)
{
	struct words *words = arena_take(input->arena, sizeof(*words));

	return split_words(input, line, place, words) < 0 ? -EINVAL : add_flags(input, words);
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
		        add(input, SETTING_RULE, SLICE(""), line, place) < 0) {
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
	while (len < line.len && is_name_char(line.ptr[len])) {
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
		if (add(input, SETTING_VARIABLE, slice_between(said.ptr, equals), value, place) <
		        0) {
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
		        split_words(input, line, place, words) < 0) {
			return -EINVAL;
		}
	}
	return add_flags(input, words);
}

/* ── Compose ─────────────────────────────────────────────────────────────── */

/* Compose replaces $NAME and ${NAME}, and writes $$ for a dollar; what it would put in is not
 * known. */
static int resolve(struct input *input, const struct yaml_node *node, struct slice *ret_value)
{
	struct text text = text_over(arena_take(input->arena, node->text.len + 1), node->text.len);
	const struct slice s = node->text;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '$' && i + 1 < s.len) {
			const char next = s.ptr[i + 1];
			if (next == '{' || (is_name_char(next) && !ascii_is_digit(next))) {
				return fault_set(input->draft->error, node->place,
				        "'%s' has a variable that compose replaces: give what "
				        "'docker compose config' prints",
				        text_show(s).text);
			}
			i += next == '$';
		}
		text_add_char(&text, s.ptr[i]);
	}
	*ret_value = text_slice(&text);
	return 0;
}

static int add_pair(struct input *input, enum setting_kind kind, struct slice name,
        const struct yaml_node *node, struct slice value)
{
	struct yaml_node half = *node;

	half.text = value;
	return resolve(input, &half, &value) < 0 ? -EINVAL
	                                         : add(input, kind, name, value, node->place);
}

/* `environment` and `labels`: a map, or a list of NAME=value. */
static int read_pairs(struct input *input, enum setting_kind kind, const struct yaml_node *pairs)
{
	const struct yaml_node *node = pairs == NULL ? NULL : pairs->first;

	if (pairs != NULL && pairs->kind == YAML_TEXT && pairs->text.len > 0) {
		return fault_set(input->draft->error, pairs->place,
		        "'%s' is a map or a list of NAME=value; found '%s'", pairs->key.ptr,
		        text_show(pairs->text).text);
	}
	for (; node != NULL; node = node->next) {
		struct slice value = node->text;
		struct slice name = node->key;
		if (node->kind != YAML_TEXT) {
			return fault_set(input->draft->error, node->place, "a value is not text");
		}
		if (pairs->kind == YAML_LIST) {
			(void)slice_next(&value, '=', &name);
		}
		if (kind == SETTING_VARIABLE && value.ptr == NULL) {
			draft_say(input->draft, DRAFT_LOST,
			        "line %u: %.*s has no value here; compose takes it from where it "
			        "runs. It counts as not set.",
			        node->place.line, SLICE_FMT(name));
			continue;
		}
		if (value.ptr == NULL) {
			value = SLICE("");
		}
		if (add_pair(input, kind, name, node, value) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_command(struct input *input, const struct yaml_node *command)
{
	struct words *words = arena_take(input->arena, sizeof(*words));
	struct slice value = {NULL, 0};

	if (command == NULL) {
		return 0;
	}
	if (command->kind == YAML_TEXT) {
		return resolve(input, command, &value) < 0
		               ? -EINVAL
		               : input_read_words(input, value, command->place);
	}
	for (const struct yaml_node *word = command->first; word != NULL; word = word->next) {
		if (word->kind != YAML_TEXT || resolve(input, word, &value) < 0 ||
		        add_word(input, words, value, word->place) < 0) {
			return input->draft->error[0] != '\0'
			               ? -EINVAL
			               : fault_set(input->draft->error, word->place,
			                         "'command' is a list of words");
		}
	}
	return add_flags(input, words);
}

static bool is_peer(const struct input *input, const struct yaml_node *service)
{
	const struct yaml_node *image = yaml_find(service, "image");

	return image != NULL && image->kind == YAML_TEXT &&
	       memmem(image->text.ptr, image->text.len, input->image, strlen(input->image)) != NULL;
}

/* The one service, or the one whose image is the peer's. */
static int choose_service(
        struct input *input, const struct yaml_node *services, const struct yaml_node **ret_service)
{
	char memory[512];
	struct text names = text_over(memory, sizeof(memory) - 1);
	unsigned peers = 0;

	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		text_add_format(&names, "%s%.*s", node == services->first ? "" : ", ",
		        SLICE_FMT(node->key));
		if (is_peer(input, node)) {
			*ret_service = node;
			peers++;
		}
	}
	memory[names.len] = '\0';
	if (peers == 0 && services->first != NULL && services->first->next == NULL) {
		*ret_service = services->first;
		peers = 1;
	}
	if (peers != 1) {
		return fault_set(input->draft->error, services->place,
		        "%s service has an image %s: there are %s; leave one in the file",
		        peers == 0 ? "no" : "more than one", input->image,
		        names.len > 0 ? memory : "none");
	}
	input->service = (*ret_service)->key.ptr;
	return 0;
}

static int read_service(struct input *input, const struct yaml_node *service)
{
	static const char *const elsewhere[] = {"env_file", "extends"};

	for (unsigned i = 0; i < ARRAY_LEN(elsewhere); i++) {
		const struct yaml_node *node = yaml_find(service, elsewhere[i]);
		if (node != NULL) {
			draft_say(input->draft, DRAFT_LOST,
			        "line %u: settings that '%s' brings in are not seen here; give "
			        "what 'docker compose config' prints.",
			        node->place.line, elsewhere[i]);
		}
	}
	if (read_pairs(input, SETTING_VARIABLE, yaml_find(service, "environment")) < 0 ||
	        read_command(input, yaml_find(service, "command")) < 0) {
		return -EINVAL;
	}
	return 0;
}

/* Of every service: wollomatic's proxy looks at those of the others. */
static int read_labels(struct input *input, const struct yaml_node *services)
{
	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		const unsigned before = input->count;
		if (read_pairs(input, SETTING_LABEL, yaml_find(node, "labels")) < 0) {
			return -EINVAL;
		}
		for (unsigned i = before; i < input->count; i++) {
			input->settings[i].service = node->key.ptr;
		}
	}
	return 0;
}

static bool is_service(const struct yaml_node *map)
{
	return yaml_find(map, "image") != NULL || yaml_find(map, "environment") != NULL ||
	       yaml_find(map, "command") != NULL;
}

static int read_compose(struct input *input, struct slice bytes)
{
	const struct yaml_node *root = NULL;
	const struct yaml_node *service = NULL;

	if (yaml_read(bytes, input->file, input->arena, &root, input->draft->error) < 0) {
		return -EINVAL;
	}
	if (root->kind != YAML_MAP) {
		return fault_set(input->draft->error, root->place,
		        "expected a compose file, lines of NAME=value%s",
		        input->takes_rules ? ", flags or rules" : " or flags");
	}
	if (is_service(root)) {
		return read_service(input, root);
	}
	const struct yaml_node *services = yaml_find(root, "services");
	services = services != NULL ? services : root;
	if (services->kind != YAML_MAP) {
		return fault_set(
		        input->draft->error, services->place, "'services' is a map of services");
	}
	if (choose_service(input, services, &service) < 0) {
		return -EINVAL;
	}
	ASSERT(service != NULL);
	return read_service(input, service) < 0 ? -EINVAL : read_labels(input, services);
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
	        (is_name_char(line.ptr[1]) || line.ptr[1] == '-') &&
	        !slice_equal(line, SLICE("---"))) {
		return read_flag_lines(input, bytes);
	}
	return is_variable(line) ? read_variables(input, bytes) : read_compose(input, bytes);
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
