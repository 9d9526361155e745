/* SPDX-License-Identifier: MIT */
#include "identity/match.h"

#include "address/network.h"
#include "docker/image.h"
#include "identity/certificate.h"
#include "yaml/write.h"

#include <errno.h>
#include <stdio.h>

union condition_value {
	unsigned listener;
	uint32_t number;
	struct network network;
	struct key_hash key;
	struct slice text;
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN];
	struct container_label label; /* value.ptr NULL: any value */
};

struct condition {
	struct place place;
	unsigned count;
	union condition_value *values;
	const char **texts; /* the values as they are written; of keys NULL */
};

struct match_reader {
	const struct match_names *names;
	struct arena *arena;
	struct match *match;
	char *error;
};

/* ── Reading values ──────────────────────────────────────────────────────── */

/* Each returns NULL; or the fault, as the end of a sentence. */

static const char *read_listener(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	const struct match_names *names = reader->names;

	for (unsigned i = 0; i < names->listener_count; i++) {
		if (names->listeners[i] != NULL &&
		        slice_equal(text, slice_of(names->listeners[i]))) {
			ret_value->listener = i;
			return NULL;
		}
	}
	return "no listener has this 'name'";
}

/* /proc/sys/kernel/overflowuid and overflowgid (proc(5)), which nobody changes. */
enum { NUMBER_OF_ALL_OTHERS = 65534 };

static const char *read_number(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	uint64_t number = 0;

	(void)reader;
	if (slice_to_u64(text, UINT32_MAX - 1, &number) < 0) {
		return "give the number that 'id -u NAME' or 'getent group NAME' shows: names are "
		       "those of another system in a container";
	}
	ret_value->number = (uint32_t)number;
	return number == NUMBER_OF_ALL_OTHERS
	               ? "the kernel shows this number for every user and group that the proxy's "
	                 "user namespace does not have"
	               : NULL;
}

static const char *read_network(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	const char *problem = network_parse(text, &ret_value->network);
	return problem == NULL && network_has_host(&ret_value->network)
	               ? "the address has bits behind the first BITS: for a network they are 0, "
	                 "for "
	                 "one address leave /BITS out"
	               : problem;
}

#define READ_NAME(type, kind)                                                                      \
	static const char *read_##type(const struct match_reader *reader, struct slice text,       \
	        union condition_value *ret_value)                                                  \
	{                                                                                          \
		(void)reader;                                                                      \
		ret_value->text = text;                                                            \
		return certificate_pattern_problem(CERTIFICATE_##kind, text);                      \
	}
READ_NAME(cn, CN)
READ_NAME(dns, DNS)
READ_NAME(uri, URI)
#undef READ_NAME

static const char *read_fingerprint(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	return certificate_fingerprint_read(text, ret_value->fingerprint);
}

static const char *read_key(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	return key_hash_read(text, &ret_value->key);
}

static const char *read_text(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	(void)slice_skip(&text, SLICE("/")); /* in front of names, as the Engine lists them */
	ret_value->text = text;
	return text.len == 0 ? "give a name" : NULL;
}

static const char *read_label(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	const char *equals = memchr(text.ptr, '=', text.len);

	(void)reader;
	ret_value->label.name = equals == NULL ? text : slice_between(text.ptr, equals);
	ret_value->label.value = equals == NULL ? (struct slice){NULL, 0}
	                                        : slice_between(equals + 1, text.ptr + text.len);
	return ret_value->label.name.len == 0 ? "give NAME or NAME=VALUE" : NULL;
}

static const char *read_image(
        const struct match_reader *reader, struct slice text, union condition_value *ret_value)
{
	char memory[DOCKER_IMAGE_MAX];
	struct text full = text_over(memory, sizeof(memory));

	docker_add_full_image(text, true, &full);
	ret_value->text = slice_of(arena_copy(reader->arena, text_slice(&full)));
	return full.overflow ? "a name of an image has up to 255 bytes" : NULL;
}

/* ── Whether a value fits ────────────────────────────────────────────────── */

static bool is_unix(const struct sender *sender)
{
	return sender->caller->address.any.sa_family == AF_UNIX &&
	       sender->caller->peer.group_count > 0;
}

static bool fits_LISTENER(const union condition_value *value, const struct sender *sender)
{
	return value->listener == sender->caller->listener;
}

static bool fits_UID(const union condition_value *value, const struct sender *sender)
{
	return is_unix(sender) && value->number == sender->caller->peer.uid;
}

static bool fits_GID(const union condition_value *value, const struct sender *sender)
{
	const struct unix_peer *peer = &sender->caller->peer;

	for (unsigned i = 0; is_unix(sender) && i < peer->group_count; i++) {
		if (value->number == peer->groups[i]) {
			return true;
		}
	}
	return false;
}

static bool fits_CIDR(const union condition_value *value, const struct sender *sender)
{
	return network_has(&value->network, &sender->caller->address);
}

#define FITS_NAME(kind)                                                                            \
	static bool fits_##kind(const union condition_value *value, const struct sender *sender)   \
	{                                                                                          \
		return certificate_has(                                                            \
		        sender->caller->certificate, CERTIFICATE_##kind, value->text);             \
	}
FITS_NAME(CN)
FITS_NAME(DNS)
FITS_NAME(URI)
#undef FITS_NAME

static bool fits_FINGERPRINT(const union condition_value *value, const struct sender *sender)
{
	return certificate_is(sender->caller->certificate, value->fingerprint);
}

static bool fits_KEY(const union condition_value *value, const struct sender *sender)
{
	return sender->key != NULL && key_fits(sender->key, &value->key);
}

static bool fits_LABEL(const union condition_value *value, const struct sender *sender)
{
	const struct slice has = container_label(sender->container, value->label.name);

	return has.ptr != NULL &&
	       (value->label.value.ptr == NULL || slice_equal(has, value->label.value));
}

static bool fits_NAME(const union condition_value *value, const struct sender *sender)
{
	return slice_equal(sender->container->name, value->text);
}

static bool fits_IMAGE(const union condition_value *value, const struct sender *sender)
{
	return docker_image_fits(value->text, sender->container->image);
}

/* Labels that docker compose gives to each container. */
static bool fits_PROJECT(const union condition_value *value, const struct sender *sender)
{
	return slice_equal(container_label(sender->container, SLICE("com.docker.compose.project")),
	        value->text);
}

static bool fits_SERVICE(const union condition_value *value, const struct sender *sender)
{
	return slice_equal(container_label(sender->container, SLICE("com.docker.compose.service")),
	        value->text);
}

/* ── The table ───────────────────────────────────────────────────────────── */

/* A value of this type is shown as it is written. */
enum {
	shows_listener = true,
	shows_number = true,
	shows_network = true,
	shows_fingerprint = true,
	shows_cn = true,
	shows_dns = true,
	shows_uri = true,
	shows_key = false,
	shows_text = true,
	shows_label = true,
	shows_image = true,
};

/* The map that holds the key. */
enum group {
	GROUP_match,
	GROUP_cert,
	GROUP_container,
	GROUPS,
};

static const struct row {
	const char *key;
	const char *name; /* in messages */
	const char *words;
	const char *(*read)(const struct match_reader *reader, struct slice text,
	        union condition_value *ret_value);
	bool (*fits)(const union condition_value *value, const struct sender *sender);
	enum group group;
	bool shows;
} rows[CONDITION_KINDS] = {
#define CONDITION(kind, group, key, name, type, words)                                             \
	[CONDITION_##kind] = {                                                                     \
	        key, name, words, read_##type, fits_##kind, GROUP_##group, shows_##type},
#include "identity/conditions.def"
#undef CONDITION
};

/* ── Reading the map ─────────────────────────────────────────────────────── */

/* Without values yet. NULL without memory. */
static struct condition *condition_new(struct arena *arena, unsigned count, struct place place)
{
	struct condition *condition = arena_take(arena, sizeof(*condition));
	union condition_value *values = arena_take(arena, count * sizeof(*values));
	const char **texts = arena_take(arena, count * sizeof(*texts));

	if (condition == NULL || values == NULL || texts == NULL) {
		return NULL;
	}
	*condition = (struct condition){.place = place, .values = values, .texts = texts};
	return condition;
}

static int read_value(struct match_reader *reader, const struct row *row,
        const struct yaml_node *node, struct condition *condition)
{
	if (yaml_expect(node, YAML_TEXT, row->words, reader->error) < 0) {
		return -EINVAL;
	}
	union condition_value *value = &condition->values[condition->count];
	const char *problem = row->read(reader, node->text, value);
	if (problem != NULL) {
		return fault_set(reader->error, node->place, "%s: %s is not accepted: %s", row->key,
		        row->shows ? yaml_found(node).text : "the value", problem);
	}
	if (row->shows) {
		condition->texts[condition->count] = arena_copy(reader->arena, node->text);
	}
	condition->count++;
	return 0;
}

static int read_condition(
        struct match_reader *reader, enum condition_kind kind, const struct yaml_node *node)
{
	const struct row *row = &rows[kind];
	const unsigned count = node->kind == YAML_LIST ? yaml_count(node) : 1;
	struct condition *condition;

	if (count == 0 || count > MATCH_VALUES_MAX) {
		return fault_set(reader->error, node->place, "'%s' is a list of 1 to %d values",
		        row->key, MATCH_VALUES_MAX);
	}
	condition = condition_new(reader->arena, count, node->place);
	if (condition == NULL) {
		return arena_fault(reader->arena, reader->error);
	}
	reader->match->conditions[kind] = condition;
	if (node->kind != YAML_LIST) {
		return read_value(reader, row, node, condition);
	}
	for (const struct yaml_node *value = node->first; value != NULL; value = value->next) {
		if (read_value(reader, row, value, condition) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

#define CONDITION(kind, ...)                                                                       \
	static int read_##kind(void *reader, const struct yaml_node *node)                         \
	{                                                                                          \
		return read_condition(reader, CONDITION_##kind, node);                             \
	}
#include "identity/conditions.def"
#undef CONDITION

static int read_group(void *context, const struct yaml_node *node);

/* The keys of the maps. */
static const struct {
	enum group group;
	struct yaml_key key;
} keys[] = {
#define CONDITION(kind, group, key, ...) {GROUP_##group, {key, read_##kind}},
#include "identity/conditions.def"
#undef CONDITION
        {GROUP_match, {"cert", read_group}},
        {GROUP_match, {"container", read_group}},
};

/* The groups by the keys of their maps. */
static const char *const group_names[GROUPS] = {"match", "cert", "container"};

static int read_map(struct match_reader *reader, enum group group, const struct yaml_node *map)
{
	struct yaml_key of_group[ARRAY_LEN(keys)];
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i].group == group) {
			of_group[count++] = keys[i].key;
		}
	}
	return yaml_read_map(map, group_names[group], of_group, count, reader, reader->error);
}

/* A map without a key would be a condition that holds for everybody. */
static int read_group(void *context, const struct yaml_node *node)
{
	struct match_reader *reader = context;
	unsigned group = GROUP_match + 1;

	while (group + 1 < GROUPS && !slice_equal(node->key, slice_of(group_names[group]))) {
		group++;
	}
	if (read_map(reader, group, node) < 0) {
		return -EINVAL;
	}
	return node->first != NULL ? 0
	                           : fault_set(reader->error, node->place,
	                                     "'%s' in match has no condition", group_names[group]);
}

int match_read(const struct yaml_node *map, const struct match_names *names, struct arena *arena,
        struct match *ret_match, char error[FAULT_MAX])
{
	struct match_reader reader = {names, arena, ret_match, error};

	*ret_match = (struct match){.conditions = {NULL}};
	if (read_map(&reader, GROUP_match, map) < 0) {
		return -EINVAL;
	}
	return map->first != NULL ? 0
	                          : fault_set(error, map->place,
	                                    "'match' has no condition, and would fit everybody: "
	                                    "what everybody may do is the policy of the listener");
}

/* One condition with one value. NULL without memory. */
static struct condition *alone(
        enum condition_kind kind, struct place place, struct arena *arena, struct match *ret_match)
{
	struct condition *condition = condition_new(arena, 1, place);

	*ret_match = (struct match){.conditions = {[0] = NULL}};
	ret_match->conditions[kind] = condition;
	if (condition != NULL) {
		condition->count = 1;
	}
	return condition;
}

int match_key(const struct key_hash *hash, struct place place, struct arena *arena,
        struct match *ret_match)
{
	struct condition *condition = alone(CONDITION_KEY, place, arena, ret_match);

	if (condition == NULL) {
		return -EINVAL;
	}
	condition->values[0].key = *hash;
	return 0;
}

int match_label(struct container_label label, struct place place, struct arena *arena,
        struct match *ret_match)
{
	struct condition *condition = alone(CONDITION_LABEL, place, arena, ret_match);
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	if (condition == NULL) {
		return -EINVAL;
	}
	text_add_format(&text, "%.*s=%.*s", SLICE_FMT(label.name), SLICE_FMT(label.value));
	condition->values[0].label = label;
	condition->texts[0] = arena_copy(arena, text_slice(&text));
	return condition->texts[0] == NULL ? -EINVAL : 0;
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

static enum match_result condition_holds(
        const struct condition *condition, const struct row *row, const struct sender *sender)
{
	if (row->group == GROUP_container && sender->container == NULL) {
		return sender->container_asked ? MATCH_NO : MATCH_UNKNOWN;
	}
	for (unsigned i = 0; i < condition->count; i++) {
		if (row->fits(&condition->values[i], sender)) {
			return MATCH_YES;
		}
	}
	return MATCH_NO;
}

enum match_result match_holds(const struct match *match, const struct sender *sender)
{
	enum match_result result = MATCH_YES;

	for (unsigned i = 0; i < CONDITION_KINDS && result != MATCH_NO; i++) {
		const enum match_result holds =
		        match->conditions[i] == NULL
		                ? MATCH_YES
		                : condition_holds(match->conditions[i], &rows[i], sender);
		result = holds == MATCH_YES ? result : holds;
	}
	return result;
}

bool match_misses_key(const struct match *match, const struct sender *sender)
{
	struct match others = *match;

	others.conditions[CONDITION_KEY] = NULL;
	return match->conditions[CONDITION_KEY] != NULL && match_holds(&others, sender) != MATCH_NO;
}

static bool asks(const struct match *match, enum group group)
{
	bool any = false;

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		any = any || (match->conditions[i] != NULL && rows[i].group == group);
	}
	return any;
}

bool match_asks_container(const struct match *match)
{
	return asks(match, GROUP_container);
}

bool match_asks_certificate(const struct match *match)
{
	return asks(match, GROUP_cert);
}

/* ── Comparing ───────────────────────────────────────────────────────────── */

/* Whether value `i` of `a` holds for everybody for whom value `j` of `b` does. Values that are
 * written in the same way are the same. */
static bool value_covers(enum condition_kind kind, const struct condition *a, unsigned i,
        const struct condition *b, unsigned j)
{
	const union condition_value *value = &a->values[i];
	const union condition_value *other = &b->values[j];

	if (kind == CONDITION_CIDR) {
		return network_covers(&value->network, &other->network);
	}
	if (kind == CONDITION_KEY) {
		return key_hash_equal(&value->key, &other->key);
	}
	return strcmp(a->texts[i], b->texts[j]) == 0;
}

static bool condition_covers(
        enum condition_kind kind, const struct condition *a, const struct condition *b)
{
	bool all = b != NULL;

	for (unsigned j = 0; all && j < b->count; j++) {
		bool covered = false;
		for (unsigned i = 0; !covered && i < a->count; i++) {
			covered = value_covers(kind, a, i, b, j);
		}
		all = covered;
	}
	return all;
}

bool match_covers(const struct match *match, const struct match *other)
{
	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if (match->conditions[i] != NULL &&
		        !condition_covers(i, match->conditions[i], other->conditions[i])) {
			return false;
		}
	}
	return true;
}

bool match_is_at(const struct match *match, unsigned listener)
{
	const struct condition *condition = match->conditions[CONDITION_LISTENER];
	bool is = condition == NULL;

	for (unsigned i = 0; condition != NULL && i < condition->count; i++) {
		is = is || condition->values[i].listener == listener;
	}
	return is;
}

bool match_has_hash(const struct match *match, const struct key_hash *hash)
{
	const struct condition *condition = match->conditions[CONDITION_KEY];
	bool has = false;

	for (unsigned i = 0; condition != NULL && i < condition->count; i++) {
		has = has || key_hash_equal(&condition->values[i].key, hash);
	}
	return has;
}

/* ── Saying it ───────────────────────────────────────────────────────────── */

static void add_condition(
        const struct condition *condition, const struct row *row, struct text *text)
{
	if (!row->shows) {
		text_add(text, slice_of(row->name));
		return;
	}
	text_add_format(text, "%s %s", row->name, condition->texts[0]);
	for (unsigned i = 1; i < condition->count; i++) {
		text_add_format(text, " or %s", condition->texts[i]);
	}
}

static void add_conditions(
        const struct match *match, const struct sender *missed_by, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		const struct condition *condition = match->conditions[i];
		if (condition == NULL || (missed_by != NULL && condition_holds(condition, &rows[i],
		                                                       missed_by) == MATCH_YES)) {
			continue;
		}
		text_add_format(text, "%s", separator);
		add_condition(condition, &rows[i], text);
		separator = ", ";
	}
}

unsigned match_kinds(const struct match *match)
{
	unsigned kinds = 0;

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		kinds |= match->conditions[i] == NULL ? 0 : 1U << i;
	}
	return kinds;
}

void match_add_kinds(unsigned kinds, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if ((kinds & 1U << i) != 0) {
			text_add_format(text, "%s%s", separator, rows[i].name);
			separator = ", ";
		}
	}
}

static void write_value(
        const struct condition *condition, const struct row *row, unsigned i, struct text *text)
{
	char memory[KEY_HASH_TEXT_MAX];
	struct text hash = text_over(memory, sizeof(memory));

	if (row->shows) {
		yaml_add_quoted(text, slice_of(condition->texts[i]));
	} else {
		key_hash_add(&condition->values[i].key, &hash);
		yaml_add_quoted(text, text_slice(&hash));
	}
}

static void write_condition(
        const struct condition *condition, const struct row *row, struct text *text)
{
	text_add_format(text, "%s: [", row->key);
	for (unsigned i = 0; i < condition->count; i++) {
		text_add(text, i > 0 ? SLICE(", ") : SLICE(""));
		write_value(condition, row, i, text);
	}
	text_add(text, SLICE("]"));
}

/* The conditions of a group, the first behind `lead` and the others behind commas. Whether there
 * are any. */
static bool write_group(
        const struct match *match, enum group group, const char *lead, struct text *text)
{
	bool any = false;

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if (match->conditions[i] != NULL && rows[i].group == group) {
			text_add_format(text, "%s", any ? ", " : lead);
			write_condition(match->conditions[i], &rows[i], text);
			any = true;
		}
	}
	return any;
}

void match_write(const struct match *match, struct text *text)
{
	text_add(text, SLICE("{"));
	bool any = write_group(match, GROUP_match, "", text);
	for (unsigned group = GROUP_match + 1; group < GROUPS; group++) {
		char lead[32];
		(void)snprintf(lead, sizeof(lead), "%s%s: {", any ? ", " : "", group_names[group]);
		if (write_group(match, group, lead, text)) {
			text_add(text, SLICE("}"));
			any = true;
		}
	}
	text_add(text, SLICE("}"));
}

void match_add(const struct match *match, struct text *text)
{
	add_conditions(match, NULL, text);
}

void match_add_missed(const struct match *match, const struct sender *sender, struct text *text)
{
	add_conditions(match, sender, text);
}
