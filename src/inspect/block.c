/* SPDX-License-Identifier: MIT */
#include "inspect/set.h"

#include <errno.h>

static const char *const names[INSPECT_BLOCK_COUNT] = {
        [INSPECT_CREATE] = "create",
        [INSPECT_EXEC] = "exec",
        [INSPECT_BUILD] = "build",
        [INSPECT_IMAGE] = "image",
};

const char *inspect_block_name(enum inspect_block block)
{
	return names[block];
}

enum inspect_block constraints_block(const struct constraints *constraints)
{
	return constraints->block;
}

struct place constraints_place(const struct constraints *constraints)
{
	return constraints->place;
}

/* ── Limits ──────────────────────────────────────────────────────────────── */

struct limits_reader {
	struct arena *arena;
	struct limits *limits;
	char *error;
};

/* Digits with up to nine behind a point, as 10^-9; -1: it is something else. */
static int64_t read_decimal(struct slice text)
{
	struct slice whole;
	uint64_t units = 0;
	uint64_t parts = 0;
	char padded[] = "000000000";

	if (!slice_next(&text, '.', &whole) || slice_to_u64(whole, 1000000, &units) < 0 ||
	        text.len > sizeof(padded) - 1) {
		return -1;
	}
	for (size_t i = 0; i < text.len; i++) {
		padded[i] = text.ptr[i];
	}
	if (slice_to_u64(slice_of(padded), UINT64_MAX, &parts) < 0) {
		return -1;
	}
	return (int64_t)(units * 1000000000 + parts);
}

/* "512", "64k", "2g", as the docker CLI takes them; -1: it is something else. */
static int64_t read_size(struct slice text)
{
	static const char units[] = "bkmgt";
	const char last = text.len > 0 ? ascii_lower(text.ptr[text.len - 1]) : '\0';
	const char *unit = last == '\0' ? NULL : strchr(units, last);
	uint64_t value = 0;

	text.len -= unit != NULL;
	if (slice_to_u64(text, 1U << 30, &value) < 0) {
		return -1;
	}
	return (int64_t)(value << (unit == NULL ? 0 : 10 * (unit - units)));
}

static int read_limit(const struct limits_reader *reader, const struct yaml_node *node,
        int64_t (*read)(struct slice text), const char *example, int64_t *ret_value)
{
	*ret_value = node->kind == YAML_TEXT ? read(node->text) : -1;
	return *ret_value > 0 ? 0
	                      : fault_set(reader->error, node->place,
	                                "'%s' is a number above 0, such as %s; found %s",
	                                node->key.ptr, example, yaml_found(node).text);
}

static int64_t read_count(struct slice text)
{
	uint64_t value = 0;

	return slice_to_u64(text, INT32_MAX, &value) < 0 ? -1 : (int64_t)value;
}

static int read_memory(void *context, const struct yaml_node *node)
{
	const struct limits_reader *reader = context;

	return read_limit(reader, node, read_size, "2g", &reader->limits->memory);
}

static int read_cpus(void *context, const struct yaml_node *node)
{
	const struct limits_reader *reader = context;

	return read_limit(reader, node, read_decimal, "1.5", &reader->limits->cpus);
}

static int read_pids(void *context, const struct yaml_node *node)
{
	const struct limits_reader *reader = context;

	return read_limit(reader, node, read_count, "512", &reader->limits->pids);
}

static int read_ulimits(void *context, const struct yaml_node *node)
{
	const struct limits_reader *reader = context;
	struct limits *limits = reader->limits;

	if (node->kind != YAML_MAP || node->first == NULL) {
		return fault_set(reader->error, node->place,
		        "'ulimits' is a map, such as {nofile: 1024}; found %s",
		        yaml_found(node).text);
	}
	for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
		if (limits->ulimit_count == ULIMITS_MAX) {
			return fault_set(reader->error, one->place,
			        "'ulimits' has more than %d entries", ULIMITS_MAX);
		}
		const char *name = arena_copy(reader->arena, one->key);
		limits->ulimits[limits->ulimit_count].name =
		        (struct slice){name, name == NULL ? 0 : one->key.len};
		if (read_limit(reader, one, read_count, "1024",
		            &limits->ulimits[limits->ulimit_count].most) < 0) {
			return -EINVAL;
		}
		limits->ulimit_count++;
	}
	return 0;
}

static const struct yaml_shape memory_shape = {.words = "a size above 0, such as 2g"};
static const struct yaml_shape cpus_shape = {.words = "a number above 0, such as 1.5"};
static const struct yaml_shape count_shape = {.words = "a number above 0, such as 512"};
static const struct yaml_shape ulimits_shape = {
        .kind = YAML_SHAPE_NAMES,
        .words = "a map, such as {nofile: 1024}",
        .item = &count_shape,
};

static const struct yaml_key limit_keys[] = {
        {"memory", read_memory, &memory_shape},
        {"cpus", read_cpus, &cpus_shape},
        {"pids", read_pids, &count_shape},
        {"ulimits", read_ulimits, &ulimits_shape},
};
static const struct yaml_shape require_shape = {
        YAML_KEYS(limit_keys), .words = "'require'", .name = "require"};

int limits_read(const struct yaml_node *value, struct arena *arena, struct limits *ret_limits,
        char error[FAULT_MAX])
{
	struct limits_reader reader = {.arena = arena, .limits = ret_limits, .error = error};

	return yaml_read_map(value, &require_shape, &reader, error);
}

/* ── A block ─────────────────────────────────────────────────────────────── */

struct block_reader {
	struct constraints *constraints;
	const struct inspect_setting *setting;
	struct arena *arena;
	char *error;
};

/* `value` NULL: the block does not name the key. */
static int read_key(
        const struct block_reader *reader, unsigned number, const struct yaml_node *value)
{
	const struct key *key = &inspect_keys[number];
	struct constraints *constraints = reader->constraints;

	if (key->kind != KIND_REQUIRE) {
		return set_read(key, value, reader->setting->workspace, reader->arena,
		        &constraints->sets[number], reader->error);
	}
	return value == NULL
	               ? 0
	               : limits_read(value, reader->arena, &constraints->limits, reader->error);
}

static int read_named_key(void *context, const struct yaml_node *value)
{
	struct block_reader *reader = context;
	unsigned number = 0;

	while (inspect_keys[number].block != reader->constraints->block ||
	        !slice_equal(slice_of(inspect_keys[number].name), value->key)) {
		number++;
	}
	reader->constraints->written[number] = true;
	return read_key(reader, number, value);
}

/* The shapes of the kinds of keys, of which `example` and `standard` are a row's. */
static const struct yaml_shape word_shape = {.words = "a word, or a pattern"};
#define SHAPE_WORDS(text, example, standard)                                                       \
	(&(const struct yaml_shape){                                                               \
	        .kind = YAML_SHAPE_LIST,                                                           \
	        .words = text ", such as " example "; default: " standard,                         \
	        .item = &word_shape,                                                               \
	        .other = &word_shape,                                                              \
	})
#define SHAPE_KIND_CHOICE(text, words_to_choose, standard)                                         \
	(&(const struct yaml_shape){                                                               \
	        .words = text "; default: " standard, .choices = words_to_choose})
#define SHAPE_KIND_SOCKET(text, example, standard)                                                 \
	(&(const struct yaml_shape){.words = text ", such as " example})
#define SHAPE_KIND_REQUIRE(text, example, standard) (&require_shape)
#define SHAPE_KIND_WORDS                            SHAPE_WORDS
#define SHAPE_KIND_SUBNETS                          SHAPE_WORDS
#define SHAPE_KIND_NETWORKS                         SHAPE_WORDS
#define SHAPE_KIND_IMAGES                           SHAPE_WORDS
#define SHAPE_KIND_PATHS                            SHAPE_WORDS
#define SHAPE_KIND_CAPABILITIES                     SHAPE_WORDS
#define SHAPE_KIND_COMMANDS                         SHAPE_WORDS

/* Rows of a block stand together. */
static const struct yaml_key keys[KEY_COUNT] = {
#define KEY(block, name, kind, choices, standard, guarded, root, what)                             \
	[KEY_##block##_##name] = {                                                                 \
	        #name, read_named_key, SHAPE_KIND_##kind(what, choices, standard)},
#include "inspect/keys.def"
#undef KEY
};

static const struct yaml_shape any_shape = {
        .words = "what a block of 'extends' says does not hold", .choices = "any"};

#define BLOCK(word, first, next)                                                                   \
	{                                                                                          \
		.kind = YAML_SHAPE_KEYS, .keys = keys + (first), .key_count = (next) - (first),    \
		.words = "a '" word "' block", .name = word, .other = &any_shape,                  \
	}
const struct yaml_shape constraints_shapes[INSPECT_BLOCK_COUNT] = {
        [INSPECT_CREATE] = BLOCK("create", KEY_CREATE_images, KEY_EXEC_privileged),
        [INSPECT_EXEC] = BLOCK("exec", KEY_EXEC_privileged, KEY_BUILD_remote),
        [INSPECT_BUILD] = BLOCK("build", KEY_BUILD_remote, KEY_IMAGE_pull),
        [INSPECT_IMAGE] = BLOCK("image", KEY_IMAGE_pull, KEY_COUNT),
};

int constraints_read(enum inspect_block block, const struct yaml_node *map,
        const struct inspect_setting *setting, struct arena *arena,
        const struct constraints **ret_constraints, char error[FAULT_MAX])
{
	struct block_reader reader = {.setting = setting, .arena = arena, .error = error};
	struct constraints *constraints = arena_take(arena, sizeof(*constraints));

	if (constraints == NULL) {
		return arena_fault(arena, error);
	}
	*constraints = (struct constraints){
	        .block = block, .place = map->place, .is_preset = setting->is_preset};
	reader.constraints = constraints;
	if (yaml_read_map(map, &constraints_shapes[block], &reader, error) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		if (inspect_keys[i].block == block && !constraints->written[i] &&
		        read_key(&reader, i, NULL) < 0) {
			return -EINVAL;
		}
	}
	*ret_constraints = constraints;
	return arena_check(arena, error);
}

const struct constraints *constraints_open(enum inspect_block block, struct arena *arena)
{
	struct constraints *constraints = arena_take(arena, sizeof(*constraints));

	if (constraints == NULL) {
		return NULL;
	}
	*constraints = (struct constraints){.block = block};
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		if (inspect_keys[i].block == block) {
			constraints->sets[i] = (struct set){.any = true, .all = true};
		}
	}
	return constraints;
}

bool constraints_use_workspace(const struct constraints *constraints)
{
	return constraints->sets[KEY_CREATE_bind_sources].workspace;
}

bool constraints_allow_label(const struct constraints *constraints, struct slice name)
{
	return set_has(
	        &inspect_keys[KEY_CREATE_labels], &constraints->sets[KEY_CREATE_labels], name);
}

bool constraints_list_paths(const struct constraints *constraints)
{
	const struct set *sources = &constraints->sets[KEY_CREATE_bind_sources];

	return !sources->any && sources->count > 0;
}

/* ── Printing ────────────────────────────────────────────────────────────── */

static void add_limits(const struct limits *limits, struct text *text)
{
	const size_t start = text->len;

	if (limits->memory > 0) {
		text_add_format(text, " memory=%jd", (intmax_t)limits->memory);
	}
	if (limits->cpus > 0) {
		text_add_format(text, " cpus=%jd.%02jd", (intmax_t)(limits->cpus / 1000000000),
		        (intmax_t)(limits->cpus / 10000000 % 100));
	}
	if (limits->pids > 0) {
		text_add_format(text, " pids=%jd", (intmax_t)limits->pids);
	}
	for (unsigned i = 0; i < limits->ulimit_count; i++) {
		text_add_format(text, " %.*s=%jd", SLICE_FMT(limits->ulimits[i].name),
		        (intmax_t)limits->ulimits[i].most);
	}
	if (text->len == start) {
		text_add(text, SLICE(" nothing"));
	}
}

static void add_choice(const struct key *key, const struct set *set, struct text *text)
{
	struct slice rest = slice_of(key->choices);
	struct slice first = rest;
	const char *last = strrchr(key->choices, ' ') + 1;

	(void)slice_next(&rest, ' ', &first);
	text_add(text, SLICE(" "));
	text_add(text, set->any ? slice_of(last) : set->count == 0 ? first : set->patterns[0]);
}

void key_add_value(const struct constraints *constraints, unsigned number, struct text *text)
{
	const struct key *key = &inspect_keys[number];
	const struct set *set = &constraints->sets[number];

	text_add(text, slice_of(key->name));
	if (key->kind == KIND_REQUIRE) {
		add_limits(&constraints->limits, text);
	} else if (key->kind == KIND_CHOICE) {
		add_choice(key, set, text);
	} else if (set->any || (set->count == 0 && !set->workspace)) {
		text_add(text, set->any ? SLICE(" any") : SLICE(" none"));
		if (set->any && key->guarded[0] != '\0') {
			text_add_format(text, " but %s", key->guarded);
		}
	} else {
		for (unsigned i = 0; i < set->count; i++) {
			text_add(text, SLICE(" "));
			text_add(text, set_shown(key, set, i));
		}
		text_add(text, set->workspace_is_missing ? SLICE(" $WORKSPACE, which is not set")
		                                         : SLICE(""));
	}
}

void constraints_add(const struct constraints *constraints, bool written, struct text *text)
{
	const size_t start = text->len;

	for (unsigned i = 0; i < KEY_COUNT; i++) {
		if (inspect_keys[i].block == constraints->block &&
		        constraints->written[i] == written) {
			text_add(text, text->len > start ? SLICE("; ") : SLICE(""));
			key_add_value(constraints, i, text);
		}
	}
}

/* ── What is enough to become root ───────────────────────────────────────── */

/* Whether a path of a key holds `root`, or lies below it, where that ends with a slash. */
static bool reaches(struct slice pattern, struct slice root)
{
	const bool below = slice_ends_with(root, SLICE("/"));
	const struct slice outer = {root.ptr, root.len - below};

	return path_is_below(outer, pattern) || (below && path_is_below(pattern, outer));
}

/* Whether a set opens the word of the column `root`. */
static bool set_reaches(const struct key *key, const struct set *set, struct slice root)
{
	if (slice_equal(root, SLICE("any"))) {
		return set->any || (key->kind != KIND_CHOICE && set->count > 0);
	}
	for (unsigned i = 0; key->kind == KIND_PATHS && i < set->count; i++) {
		if (reaches(set->patterns[i], root)) {
			return true;
		}
	}
	return key->kind != KIND_PATHS && set_has(key, set, root);
}

static bool set_opens_root(const struct key *key, const struct set *set)
{
	struct slice rest = slice_of(key->root);
	struct slice root;

	while (rest.len > 0 && slice_next(&rest, ' ', &root)) {
		if (set_reaches(key, set, root) || (set->any && key->kind != KIND_CHOICE)) {
			return true;
		}
	}
	return false;
}

/* Whether a source lies below another one: who writes there puts a link in its place. */
static bool is_nested(const struct set *sources)
{
	for (unsigned i = 0; i < sources->count; i++) {
		for (unsigned k = 0; k < sources->count; k++) {
			if (i != k && path_is_below(sources->patterns[i], sources->patterns[k])) {
				return true;
			}
		}
	}
	return false;
}

/*
 * A container that can write below a source makes a link there, and the next bind of it leads out.
 * A bind that is read-only does not help: what is mounted below it on the host stays writable.
 * Where links are followed before they are judged, there is still the time until the Engine mounts,
 * at each start: a link takes the place of a directory then.
 */
static enum way_to_root links_open(const struct set *sources, bool below, bool sees_host)
{
	if (sources->any) {
		return ROOT_AT_ONCE;
	}
	if ((below && sources->count > 0) || is_nested(sources)) {
		return sees_host ? ROOT_LATER : ROOT_AT_ONCE;
	}
	return ROOT_NEVER;
}

static enum way_to_root way_of(const struct constraints *constraints, unsigned number,
        const struct set *set, bool sees_host)
{
	const bool below = constraints->sets[KEY_CREATE_bind_below].any;

	if (set_opens_root(&inspect_keys[number], set)) {
		return ROOT_AT_ONCE;
	}
	return number == KEY_CREATE_bind_sources ? links_open(set, below, sees_host) : ROOT_NEVER;
}

enum way_to_root key_opens_root(
        const struct constraints *constraints, unsigned number, struct slice word, bool sees_host)
{
	const struct key *key = &inspect_keys[number];
	char memory[INSPECT_WORD_MAX];
	struct text normal = text_over(memory, sizeof(memory));
	struct slice pattern = word;

	if (key->kind == KIND_CAPABILITIES) {
		word_add_capability(word, &normal);
		pattern = text_slice(&normal);
	}
	if (number == KEY_CREATE_bind_below) {
		return links_open(&constraints->sets[KEY_CREATE_bind_sources], true, sees_host);
	}
	const struct set set = {.any = key->kind == KIND_CHOICE, .count = 1, .patterns = &pattern};
	return way_of(constraints, number, &set, sees_host);
}

void constraints_add_root(const struct constraints *constraints, bool sees_host, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < KEY_COUNT; i++) {
		if (inspect_keys[i].block != constraints->block) {
			continue;
		}
		const enum way_to_root way =
		        way_of(constraints, i, &constraints->sets[i], sees_host);
		if (way != ROOT_NEVER) {
			text_add_format(text, "%s%s.%s%s", separator, names[constraints->block],
			        inspect_keys[i].name,
			        way == ROOT_LATER ? " (by a later link)" : "");
			separator = ", ";
		}
	}
}
