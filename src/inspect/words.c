/* SPDX-License-Identifier: MIT */
/* words — checks of single words. */
#include "inspect/check.h"

CHECK(WORD)
{
	const struct slice word = text_of(value);

	if (word.len > 0 || is_element(row)) {
		require_word(walk, row, word);
	}
}

CHECK(NEEDED)
{
	const struct slice word = text_of(value);

	if (word.len == 0 ? !set_of(walk, row->key)->any : !allows(walk, row, word)) {
		walk_find(walk, row, word, word.len == 0 ? "must be given" : NULL);
	}
}

/* A number as strconv.Atoi takes it, in another spelling than the shortest. */
static bool is_odd_number(struct slice word)
{
	const bool sign = word.len > 0 && (word.ptr[0] == '+' || word.ptr[0] == '-');
	const struct slice digits = slice_behind(word, sign);
	uint64_t number;

	return slice_to_u64(digits, UINT64_MAX, &number) == 0 &&
	       (sign || (digits.len > 1 && digits.ptr[0] == '0'));
}

/* `!0` takes away 0:1000 too: of what is taken away, the user counts, whatever the group. */
static void check_user_alone(struct walk *walk, const struct row *row, struct slice word)
{
	const struct set *set = set_of(walk, row->key);
	const char *colon = memchr(word.ptr, ':', word.len);

	if (colon == NULL) {
		return;
	}
	const struct slice user = slice_between(word.ptr, colon);
	for (unsigned i = 0; i < set->count; i++) {
		struct slice pattern = set->patterns[i];
		if (slice_skip(&pattern, SLICE("!")) && slice_fits(pattern, user)) {
			walk_find(walk, row, user, NULL);
			return;
		}
	}
}

/* "user", "user:group" */
CHECK(USER)
{
	struct slice rest = text_of(value);
	struct slice part;

	while (!set_of(walk, row->key)->any && slice_next(&rest, ':', &part)) {
		if (is_odd_number(part)) {
			walk_find(walk, row, text_of(value),
			        "must be a name, or a number without a sign and zeros in front");
			return;
		}
	}
	check_NEEDED(walk, row, value);
	check_user_alone(walk, row, text_of(value));
}

CHECK(NAME)
{
	require_word(walk, row, value->name);
}

/* What stands before the sign is the name. */
CHECK(VARIABLE)
{
	const struct slice word = text_of(value);
	const char *sign = memchr(word.ptr, '=', word.len);

	require_word(walk, row, sign == NULL ? word : slice_between(word.ptr, sign));
}

static void require_options(struct walk *walk, const struct row *row, struct slice options)
{
	struct slice option;

	while (slice_next(&options, ',', &option)) {
		if (option.len > 0) {
			require_word(walk, row, option);
		}
	}
}

CHECK(OPTIONS)
{
	require_options(walk, row, text_of(value));
}

/* ["size", "64m"] is size=64m. The Engine joins all of a mount by commas. */
CHECK(OPTION)
{
	const struct json_node *name = value->type == JSON_ARRAY ? json_first(value) : value;
	const struct json_node *of = name == value || name == NULL ? NULL : json_next(value, name);
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, text_of(name));
	text_add(&text, of == NULL ? SLICE("") : SLICE("="));
	text_add(&text, text_of(of));
	if (text.overflow || (of != NULL && json_next(value, of) != NULL)) {
		walk_find(walk, row, text_of(name), "must be a name, or a name and a short value");
	} else {
		require_options(walk, row, text_slice(&text));
	}
}

static bool is_empty(const struct json_node *value)
{
	return value->type == JSON_NULL || value->type == JSON_FALSE ||
	       (value->type == JSON_STRING && value->text.len == 0) ||
	       (value->type == JSON_NUMBER && slice_equal(value->text, SLICE("0")));
}

/* The word for a reason; a switch or a list has none. */
static struct slice word_for(const struct row *row, const struct json_node *value)
{
	if (row->shape[0] == '{') {
		return value->name;
	}
	return value->type == JSON_STRING || value->type == JSON_NUMBER ? value->text : SLICE("");
}

CHECK(CLOSED)
{
	if (!set_of(walk, row->key)->any && (is_element(row) || !is_empty(value)) &&
	        !word_is_in(text_of(value), row->fine)) {
		walk_find(walk, row, word_for(row, value), NULL);
	}
}

/* The same, where the value may hold a password. */
CHECK(SECRET)
{
	if (!set_of(walk, row->key)->any && !is_empty(value) &&
	        !word_is_in(text_of(value), row->fine)) {
		walk_find(walk, row, SLICE(""), NULL);
	}
}

/* "name:mode" */
CHECK(CONTAINER)
{
	struct slice rest = text_of(value);
	struct slice name = {"", 0};

	(void)slice_next(&rest, ':', &name);
	require_word(walk, row, name);
	walk_refer_container(walk, value, name);
}

/* Of ContainerIDFile: the docker CLI writes it itself, and podman removes that file of the host. */
CHECK(DROPPED)
{
	(void)row;
	(void)walk_redirect(walk, value, SLICE(""), SLICE(""), SLICE(""));
}

CHECK(NEGATIVE)
{
	if (slice_starts_with(value->text, SLICE("-"))) {
		check_CLOSED(walk, row, value);
	}
}

/* The Engine looks at the path as root, and says in its errors what is there. */
CHECK(BLOCK_DEVICE)
{
	const struct slice path = text_of(value);

	if (path.len > 0 && !allows(walk, row, path) &&
	        (!word_is_path(path) || !path_is_below(path, SLICE("/dev")))) {
		walk_find(walk, row, path, "is not the path of a device below /dev");
	}
}

CHECK(DEVICE)
{
	const struct slice path = text_of(json_member(value, SLICE("PathOnHost")));

	if (!allows(walk, row, path)) {
		walk_find_in(walk, row, "PathOnHost", path, path.len == 0 ? "must be given" : NULL);
	}
}

CHECK(CAPABILITY)
{
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	word_add_capability(text_of(value), &text);
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		walk_find(walk, row, text_of(value), NULL);
	}
}

/* The words of a command, as they are written in a policy. */
static bool has_blank(const struct json_node *list)
{
	for (const struct json_node *at = json_first(list); at != NULL; at = json_next(list, at)) {
		if (at->text.len == 0 || memchr(at->text.ptr, ' ', at->text.len) != NULL) {
			return true;
		}
	}
	return false;
}

static void add_command(const struct json_node *list, struct text *text)
{
	for (const struct json_node *at = json_first(list); at != NULL; at = json_next(list, at)) {
		text_add(text, at == json_first(list) ? SLICE("") : SLICE(" "));
		text_add(text, at->text);
	}
}

CHECK(COMMAND)
{
	if (value->type != JSON_NULL && value->type != JSON_ARRAY) {
		walk_find(walk, row, text_of(value), "must be a list of strings");
	} else if (!set_has_command(set_of(walk, row->key), value)) {
		char memory[INSPECT_WORD_MAX];
		struct text text = text_over(memory, sizeof(memory));
		add_command(value, &text);
		walk_find(walk, row, text_slice(&text),
		        has_blank(value) ? "is not allowed; it has a word with a blank" : NULL);
	}
}

/* The Engine reads what stands before the first '=' or, without one, the first ':' as the name. */
CHECK(SECURITY)
{
	const struct slice word = text_of(value);
	const char *colon =
	        memchr(word.ptr, '=', word.len) != NULL ? NULL : memchr(word.ptr, ':', word.len);
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, colon == NULL ? word : slice_between(word.ptr, colon));
	if (colon != NULL) {
		text_add(&text, SLICE("="));
		text_add(&text, slice_between(colon + 1, word.ptr + word.len));
	}
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		walk_find(walk, row, word, NULL);
	}
}

/* "mode" of "ipc=private" is ipc=mode. */
CHECK(PREFIXED)
{
	const struct slice word = text_of(value);
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));
	size_t len = strcspn(row->fine, " ");

	while (row->fine[len - 1] != '=' && row->fine[len - 1] != ':') {
		len--;
	}
	text_add(&text, (struct slice){row->fine, len});
	text_add(&text, word);
	if (word.len > 0 && (text.overflow || !allows(walk, row, text_slice(&text)))) {
		walk_find(walk, row, text_slice(&text), NULL);
	}
}

CHECK(UNLABELLED)
{
	if (value->type == JSON_TRUE) {
		require_word(walk, row, SLICE("label=disable"));
	}
}

/* A list or a map that is empty changes nothing. */
static bool changes_nothing(const struct json_node *value)
{
	const bool container = value->type == JSON_ARRAY || value->type == JSON_OBJECT;

	return container ? json_first(value) == NULL : is_empty(value);
}

CHECK(COMMITTED)
{
	static const struct row changes_row = {.key = KEY_IMAGE_changes, .fine = ""};

	if (set_of(walk, KEY_IMAGE_changes)->any || value->type == JSON_NULL) {
		return;
	}
	if (value->type != JSON_OBJECT) {
		walk_find(walk, row, SLICE(""), "must be an object");
		return;
	}
	for (const struct json_node *at = json_first(value); at != NULL;
	        at = json_next(value, at)) {
		walk->member = at->name;
		if (!changes_nothing(at)) {
			walk_find(walk, &changes_row, SLICE(""), NULL);
		}
	}
	walk->member = (struct slice){NULL, 0};
}
