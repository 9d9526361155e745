/* SPDX-License-Identifier: MIT */
#include "identity/condition.h"

#include "docker/image.h"

/* ── Reading values ──────────────────────────────────────────────────────── */

/* Each returns NULL; or the fault, as the end of a sentence. */

static const char *read_listener(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
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
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	uint64_t number = 0;

	(void)reader;
	if (slice_to_u64(text, UINT32_MAX - 1, &number) < 0) {
		return "give a number: 'id -u NAME' prints that of a user, 'getent group NAME' "
		       "that of a group; a name can be another user in a container";
	}
	ret_value->number = (uint32_t)number;
	return number == NUMBER_OF_ALL_OTHERS
	               ? "the kernel shows this number for every user and group that the proxy's "
	                 "user namespace does not have"
	               : NULL;
}

static const char *read_network(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
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
	static const char *read_##type(const struct condition_reader *reader, struct slice text,   \
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
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	return certificate_fingerprint_read(text, ret_value->fingerprint);
}

static const char *read_key(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	return key_hash_read(text, &ret_value->key);
}

/* Names of containers, projects and services have no other characters: a star is none of them. */
static const char *read_text(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	(void)reader;
	(void)slice_skip(&text, SLICE("/")); /* in front of names, as the Engine lists them */
	ret_value->text = text;
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_alnum(text.ptr[i]) && strchr("-_.", text.ptr[i]) == NULL) {
			return "give the whole name: it has letters, digits, '-', '_' and '.'";
		}
	}
	return text.len == 0 ? "give a name" : NULL;
}

static const char *read_label(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	const char *equals = memchr(text.ptr, '=', text.len);

	(void)reader;
	ret_value->label.name = equals == NULL ? text : slice_between(text.ptr, equals);
	ret_value->label.value = equals == NULL ? (struct slice){NULL, 0}
	                                        : slice_between(equals + 1, text.ptr + text.len);
	return ret_value->label.name.len == 0 ? "give NAME or NAME=VALUE" : NULL;
}

static const char *read_image(
        const struct condition_reader *reader, struct slice text, union condition_value *ret_value)
{
	char memory[DOCKER_IMAGE_MAX];
	struct text full = text_over(memory, sizeof(memory));

	if (slice_starts_with(text, SLICE("sha256:"))) {
		return "an id fits nothing: give the name by which the container is made";
	}
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
const struct slice condition_project_label = SLICE_INIT("com.docker.compose.project");
const struct slice condition_service_label = SLICE_INIT("com.docker.compose.service");

static bool fits_PROJECT(const union condition_value *value, const struct sender *sender)
{
	return slice_equal(
	        container_label(sender->container, condition_project_label), value->text);
}

static bool fits_SERVICE(const union condition_value *value, const struct sender *sender)
{
	return slice_equal(
	        container_label(sender->container, condition_service_label), value->text);
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

const struct condition_row condition_rows[CONDITION_KINDS] = {
#define CONDITION(kind, group, key, name, type, words)                                             \
	[CONDITION_##kind] = {                                                                     \
	        key, name, words, read_##type, fits_##kind, GROUP_##group, shows_##type},
#include "identity/conditions.def"
#undef CONDITION
};

const char *const condition_groups[GROUPS] = {"match", "cert", "container"};

enum match_result condition_holds(
        const struct condition *condition, enum condition_kind kind, const struct sender *sender)
{
	const struct condition_row *row = &condition_rows[kind];

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
