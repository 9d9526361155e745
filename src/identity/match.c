/* SPDX-License-Identifier: MIT */
#include "identity/match.h"

#include "base/nearest.h"
#include "identity/certificate.h"

#include <arpa/inet.h>
#include <errno.h>

/* A network: of an address only the first bits count. */
struct network {
	int family; /* AF_INET or AF_INET6 */
	unsigned bits;
	unsigned char bytes[16];
};

union condition_value {
	unsigned listener;
	uint32_t number;
	struct network network;
	struct slice name;
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN];
	struct key_hash key;
};

struct condition {
	struct place place;
	unsigned count;
	union condition_value *values;
	const char **texts; /* the values as they are written; of keys NULL */
};

/* ── Reading values ──────────────────────────────────────────────────────── */

/* Each returns NULL; or the fault, as the end of a sentence. */

static const char *read_listener(
        const struct match_names *names, struct slice text, union condition_value *ret_value)
{
	for (unsigned i = 0; i < names->listener_count; i++) {
		if (names->listeners[i] != NULL &&
		        slice_equal(text, slice_of(names->listeners[i]))) {
			ret_value->listener = i;
			return NULL;
		}
	}
	return "no listener has this 'name'";
}

static const char *read_number(
        const struct match_names *names, struct slice text, union condition_value *ret_value)
{
	uint64_t number = 0;

	(void)names;
	if (slice_to_u64(text, UINT32_MAX - 1, &number) < 0) {
		return "give the number that 'id -u NAME' or 'getent group NAME' shows: names are "
		       "those of another system in a container";
	}
	ret_value->number = (uint32_t)number;
	return NULL;
}

/* An IPv4 address that is written as an IPv6 address is the IPv4 address. */
static void unmap(struct network *network)
{
	struct in6_addr address;

	memcpy(&address, network->bytes, sizeof(address));
	if (network->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address) && network->bits >= 96) {
		network->family = AF_INET;
		network->bits -= 96;
		memmove(network->bytes, network->bytes + 12, 4);
	}
}

/* The bits of byte `at` that are in front of the first `bits` bits' end. */
static unsigned char mask_of(unsigned bits, unsigned at)
{
	if (bits >= 8 * (at + 1)) {
		return 0xff;
	}
	return bits <= 8 * at ? 0 : (unsigned char)(0xff00U >> (bits - 8 * at));
}

static bool has_bits_behind(const struct network *network)
{
	const unsigned len = network->family == AF_INET ? 4 : 16;

	for (unsigned i = 0; i < len; i++) {
		if ((network->bytes[i] & ~mask_of(network->bits, i) & 0xff) != 0) {
			return true;
		}
	}
	return false;
}

static bool read_address(struct slice text, struct network *network)
{
	char memory[INET6_ADDRSTRLEN] = "";

	if (text_keep(memory, sizeof(memory) - 1, text) != text.len) {
		return false;
	}
	network->family = memchr(text.ptr, ':', text.len) == NULL ? AF_INET : AF_INET6;
	network->bits = network->family == AF_INET ? 32 : 128;
	return inet_pton(network->family, memory, network->bytes) == 1;
}

static const char *read_network(
        const struct match_names *names, struct slice text, union condition_value *ret_value)
{
	struct network *network = &ret_value->network;
	const char *slash = memchr(text.ptr, '/', text.len);
	const struct slice address = slash == NULL ? text : slice_between(text.ptr, slash);
	uint64_t bits = 0;

	(void)names;
	if (!read_address(address, network)) {
		return "give an IPv4 or IPv6 address, or ADDRESS/BITS such as 192.0.2.0/24";
	}
	if (slash != NULL) {
		const struct slice number = slice_between(slash + 1, text.ptr + text.len);
		if (slice_to_u64(number, network->bits, &bits) < 0) {
			return "BITS in ADDRESS/BITS is a whole number up to 32 for IPv4, up to "
			       "128 for IPv6";
		}
		network->bits = (unsigned)bits;
	}
	unmap(network);
	return has_bits_behind(network) ? "the address has bits behind the first BITS: for a "
	                                  "network they are 0, for one address leave /BITS out"
	                                : NULL;
}

#define READ_NAME(type, kind)                                                                      \
	static const char *read_##type(const struct match_names *names, struct slice text,        \
	        union condition_value *ret_value)                                                  \
	{                                                                                          \
		(void)names;                                                                       \
		ret_value->name = text;                                                            \
		return certificate_pattern_problem(CERTIFICATE_##kind, text);                      \
	}
READ_NAME(cn, CN)
READ_NAME(dns, DNS)
READ_NAME(uri, URI)
#undef READ_NAME

static const char *read_fingerprint(
        const struct match_names *names, struct slice text, union condition_value *ret_value)
{
	(void)names;
	return certificate_fingerprint_read(text, ret_value->fingerprint);
}

static const char *read_key(
        const struct match_names *names, struct slice text, union condition_value *ret_value)
{
	(void)names;
	return key_hash_read(text, &ret_value->key);
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
	const struct network *network = &value->network;
	const union address *address = &sender->caller->address;
	const unsigned char *bytes = network->family == AF_INET
	                                     ? (const unsigned char *)&address->ip4.sin_addr
	                                     : (const unsigned char *)&address->ip6.sin6_addr;

	if (address->any.sa_family != network->family) {
		return false;
	}
	for (unsigned i = 0; 8 * i < network->bits; i++) {
		if (((bytes[i] ^ network->bytes[i]) & mask_of(network->bits, i)) != 0) {
			return false;
		}
	}
	return true;
}

#define FITS_NAME(kind)                                                                            \
	static bool fits_##kind(const union condition_value *value, const struct sender *sender)   \
	{                                                                                          \
		return certificate_has(                                                            \
		        sender->caller->certificate, CERTIFICATE_##kind, value->name);             \
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
};

static const struct row {
	const char *key;
	const char *name; /* in messages */
	const char *words;
	const char *(*read)(const struct match_names *names, struct slice text,
	        union condition_value *ret_value);
	bool (*fits)(const union condition_value *value, const struct sender *sender);
	bool shows;
} rows[CONDITION_KINDS] = {
#define CONDITION(kind, group, key, name, type, words)                                             \
	[CONDITION_##kind] = {key, name, words, read_##type, fits_##kind, shows_##type},
#include "identity/conditions.def"
#undef CONDITION
};

/* ── Reading the map ─────────────────────────────────────────────────────── */

struct match_reader {
	const struct match_names *names;
	struct arena *arena;
	struct match *match;
	char *error;
};

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
	const char *problem = row->read(reader->names, node->text, value);
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

/* The keys of each map: of all rows, those of its group. */
#define IF_match(...)
#define IF_cert(...)
#define CONDITION(kind, group, key, ...) IF_##group({key, read_##kind}, )
#undef IF_cert
#define IF_cert(...) __VA_ARGS__
static const struct yaml_key cert_keys[] = {
#include "identity/conditions.def"
};
#undef IF_cert
#define IF_cert(...)

/* cert: {cn: ops, …} */
static int read_cert(void *context, const struct yaml_node *map)
{
	struct match_reader *reader = context;

	if (yaml_read_map(map, "cert", cert_keys, ARRAY_LEN(cert_keys), reader, reader->error) < 0) {
		return -EINVAL;
	}
	return map->first != NULL
	               ? 0
	               : fault_set(reader->error, map->place,
	                         "'cert' has no condition: give cn, dns, uri or fingerprint");
}

#undef IF_match
#define IF_match(...) __VA_ARGS__
static const struct yaml_key match_keys[] = {
        {"cert", read_cert},
#include "identity/conditions.def"
};
#undef CONDITION
#undef IF_match
#undef IF_cert

int match_read(const struct yaml_node *map, const struct match_names *names, struct arena *arena,
        struct match *ret_match, char error[FAULT_MAX])
{
	struct match_reader reader = {names, arena, ret_match, error};

	*ret_match = (struct match){.conditions = {NULL}};
	if (yaml_read_map(map, "match", match_keys, ARRAY_LEN(match_keys), &reader, error) < 0) {
		return -EINVAL;
	}
	return map->first != NULL ? 0
	                          : fault_set(error, map->place,
	                                    "'match' has no condition, and would fit everybody: "
	                                    "what everybody may do is the policy of the listener");
}

int match_key(const struct key_hash *hash, struct place place, struct arena *arena,
        struct match *ret_match)
{
	struct condition *condition = condition_new(arena, 1, place);

	*ret_match = (struct match){.conditions = {[CONDITION_KEY] = condition}};
	if (condition == NULL) {
		return -EINVAL;
	}
	condition->values[0].key = *hash;
	condition->count = 1;
	return 0;
}

/* ── Judging ─────────────────────────────────────────────────────────────── */

static enum match_result condition_holds(
        const struct condition *condition, const struct row *row, const struct sender *sender)
{
	for (unsigned i = 0; i < condition->count; i++) {
		if (row->fits(&condition->values[i], sender)) {
			return MATCH_YES;
		}
	}
	return MATCH_NO;
}

enum match_result match_holds(const struct match *match, const struct sender *sender)
{
	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if (match->conditions[i] != NULL &&
		        condition_holds(match->conditions[i], &rows[i], sender) == MATCH_NO) {
			return MATCH_NO;
		}
	}
	return MATCH_YES;
}

bool match_misses_key(const struct match *match, const struct sender *sender)
{
	struct match others = *match;

	others.conditions[CONDITION_KEY] = NULL;
	return match->conditions[CONDITION_KEY] != NULL &&
	       match_holds(&others, sender) == MATCH_YES;
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

bool match_has_certificate(const struct match *match)
{
	static const enum condition_kind kinds[] = {
	        CONDITION_FINGERPRINT, CONDITION_CN, CONDITION_DNS, CONDITION_URI};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		if (match_has(match, kinds[i])) {
			return true;
		}
	}
	return false;
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

void match_add(const struct match *match, struct text *text)
{
	add_conditions(match, NULL, text);
}

void match_add_missed(const struct match *match, const struct sender *sender, struct text *text)
{
	add_conditions(match, sender, text);
}
