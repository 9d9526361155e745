/* SPDX-License-Identifier: MIT */
#include "inspect/walk.h"

#include <arpa/inet.h>

#define CHECK(name)                                                                                \
	void check_##name(struct walk *walk, const struct row *row, const struct json_node *value)

/* ── Words ───────────────────────────────────────────────────────────────── */

/* The text of a value; empty where it is missing, null or no text. */
static struct slice text_of(const struct json_node *value)
{
	return value != NULL && value->type == JSON_STRING ? value->text : (struct slice){"", 0};
}

static const struct set *set_of(const struct walk *walk, unsigned key)
{
	return &walk->constraints->sets[key];
}

static bool allows(const struct walk *walk, const struct row *row, struct slice word)
{
	return word_is_in(word, row->fine) ||
	       set_has(&inspect_keys[row->key], set_of(walk, row->key), word);
}

static void require_word(struct walk *walk, const struct row *row, struct slice word)
{
	if (!allows(walk, row, word)) {
		walk_find(walk, row, word, NULL);
	}
}

/* Whether the value is one of those in a list or map: the Engine acts on it, even if it is empty.
 */
static bool is_element(const struct row *row)
{
	return row->shape[0] != '\0';
}

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

	if (!allows(walk, row, word)) {
		walk_find(walk, row, word, word.len == 0 ? "must be given" : NULL);
	}
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

/* The word for a reason: of a switch or of a list its name says more than its value. */
static struct slice word_for(const struct json_node *value)
{
	if (value->type == JSON_STRING || value->type == JSON_NUMBER) {
		return value->text;
	}
	return value->name.ptr != NULL ? value->name : SLICE("request");
}

CHECK(CLOSED)
{
	if (!set_of(walk, row->key)->any && (is_element(row) || !is_empty(value)) &&
	        !word_is_in(text_of(value), row->fine)) {
		walk_find(walk, row, row->shape[0] == '{' ? value->name : word_for(value), NULL);
	}
}

CHECK(NEGATIVE)
{
	if (slice_starts_with(value->text, SLICE("-"))) {
		check_CLOSED(walk, row, value);
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

CHECK(COMMAND)
{
	if (value->type != JSON_NULL && value->type != JSON_ARRAY) {
		walk_find(walk, row, text_of(value), "must be a list of strings");
	} else if (!set_has_command(set_of(walk, row->key), value)) {
		walk_find(walk, row, text_of(json_first(value)), NULL);
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

/* ── Namespaces and networks ─────────────────────────────────────────────── */

CHECK(NAMESPACE)
{
	const char *sign = strchr(row->fine, '=');
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, slice_between(row->fine, sign + 1));
	text_add(&text, text_of(value));
	if (text_of(value).len > 0 && (text.overflow || !allows(walk, row, text_slice(&text)))) {
		walk_find(walk, row, text_slice(&text), NULL);
	}
}

/* A container that names no network is in the bridge network. */
static void require_network(struct walk *walk, const struct row *row, struct slice network)
{
	const bool standard = network.len == 0 || slice_equal(network, SLICE("default"));

	require_word(walk, row, standard ? SLICE("bridge") : network);
}

CHECK(MODE)
{
	require_network(walk, row, text_of(value));
}

CHECK(NETWORK)
{
	require_network(walk, row, value->name);
}

static const struct row network_row = {.key = KEY_CREATE_networks, .fine = "none"};

CHECK(JOIN)
{
	(void)row;
	(void)value;
	require_word(walk, &network_row, walk->request->name);
}

static bool is_address(struct slice text)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (text.len >= sizeof(copy)) {
		return false;
	}
	copy[text_keep(copy, sizeof(copy), text)] = '\0';
	return strlen(copy) == text.len && (inet_pton(AF_INET, copy, &address) == 1 ||
	                                           inet_pton(AF_INET6, copy, &address) == 1);
}

/* "127.0.0.1:8080"; without a port, the Engine chooses one. It takes what is no address for all. */
CHECK(PORT)
{
	const struct slice address = text_of(json_member(value, SLICE("HostIp")));
	const struct slice port = text_of(json_member(value, SLICE("HostPort")));
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, address.len > 0 ? address : SLICE("0.0.0.0"));
	text_add(&text, SLICE(":"));
	text_add(&text, port.len > 0 ? port : SLICE("0"));
	if (address.len > 0 && !is_address(address)) {
		walk_find_in(walk, row, "HostIp", address, "is no IP address");
	} else if (value->type != JSON_FALSE &&
	           (text.overflow || !allows(walk, row, text_slice(&text)))) {
		walk_find(walk, row, text_slice(&text), NULL);
	}
}

/* ── Mounts ──────────────────────────────────────────────────────────────── */

/* Rows for a key alone. */
static const struct row volume_row = {.key = KEY_CREATE_volumes, .fine = ""};
static const struct row image_row = {.key = KEY_CREATE_images, .fine = ""};
static const struct row propagation_row = {.key = KEY_CREATE_propagation, .fine = ""};
static const struct row keyless_row = {.key = KEY_ANYTHING, .fine = ""};

/* An empty name: the Engine makes one. */
static void check_volume_name(
        struct walk *walk, const struct row *row, const char *member, struct slice name)
{
	if (name.len > 0 && !word_is_volume(name)) {
		walk_find_in(walk, row, member, name,
		        "is neither an absolute path nor the name of a volume");
	} else if (!allows(walk, &volume_row, SLICE("named"))) {
		walk_find_in(walk, &volume_row, member, name, NULL);
	}
}

static void check_source(
        struct walk *walk, const struct row *row, const char *member, struct slice path)
{
	if (!word_is_path(path)) {
		walk_find_in(walk, row, member, path,
		        "must be an absolute path without '.', '..' and empty segments");
	} else if (!allows(walk, row, path)) {
		walk_find_in(walk, row, member, path, NULL);
	}
}

/* Where clients look for the Engine's socket. */
static bool is_engine_socket(struct slice path)
{
	return word_is_in(path, "/var/run/docker.sock /run/docker.sock "
	                        "/var/run/podman/podman.sock /run/podman/podman.sock");
}

/* Whether the proxy's own socket takes the place of a source, which begins the text of `value`. */
static bool redirect(struct walk *walk, const struct row *row, const struct json_node *value,
        struct slice source)
{
	const struct set *socket = set_of(walk, KEY_CREATE_socket);

	if (socket->count == 0 || !is_engine_socket(source)) {
		return false;
	}
	if (!walk_redirect(
	            walk, value, socket->patterns[0], slice_behind(value->text, source.len))) {
		walk_find(walk, row, source, "the body has too many binds of the Engine's socket");
	}
	return true;
}

static void check_bind_options(struct walk *walk, struct slice options)
{
	struct slice option;

	while (slice_next(&options, ',', &option)) {
		if (!word_is_in(option, "ro rw z Z nocopy private rprivate consistent cached "
		                        "delegated default") &&
		        option.len > 0 && !set_of(walk, KEY_CREATE_propagation)->any) {
			walk_find(walk, &propagation_row, option, NULL);
		}
	}
}

/* "/source:/target:options", "volume:/target", "/target" */
CHECK(BIND)
{
	struct slice rest = text_of(value);
	const bool anonymous = memchr(rest.ptr, ':', rest.len) == NULL;
	struct slice source = {"", 0};
	struct slice target = {"", 0};

	if (anonymous) {
		check_volume_name(walk, row, NULL, SLICE(""));
		return;
	}
	(void)slice_next(&rest, ':', &source);
	(void)slice_next(&rest, ':', &target);
	if (redirect(walk, row, value, source)) {
		check_bind_options(walk, rest);
		return;
	}
	if (slice_starts_with(source, SLICE("/"))) {
		check_source(walk, row, NULL, source);
	} else if (source.len == 0) {
		walk_find(walk, row, text_of(value), "has no source");
	} else {
		check_volume_name(walk, row, NULL, source);
	}
	check_bind_options(walk, rest);
}

CHECK(MOUNT)
{
	const struct slice type = text_of(json_member(value, SLICE("Type")));
	const struct json_node *member = json_member(value, SLICE("Source"));
	const struct slice source = text_of(member);

	if (slice_equal(type, SLICE("bind"))) {
		if (!redirect(walk, row, member, source)) {
			check_source(walk, row, "Source", source);
		}
	} else if (slice_equal(type, SLICE("volume"))) {
		check_volume_name(walk, row, "Source", source);
	} else if (slice_equal(type, SLICE("image"))) {
		if (!allows(walk, &image_row, source)) {
			walk_find_in(walk, &image_row, "Source", source, NULL);
		}
	} else if (!slice_equal(type, SLICE("tmpfs"))) {
		walk_find_in(
		        walk, &keyless_row, "Type", type, "is not bind, volume, image or tmpfs");
	}
}

CHECK(VOLUME)
{
	(void)row;
	check_volume_name(walk, &volume_row, NULL, SLICE(""));
	(void)value;
}

/* ── Limits ──────────────────────────────────────────────────────────────── */

static const struct row limit_row = {.key = KEY_CREATE_require};

static const struct json_node *member_of(const struct json_node *object, const char *name)
{
	const struct json_node *member =
	        object == NULL ? NULL : json_member(object, slice_of(name));

	return member == NULL || member->type != JSON_NUMBER ? NULL : member;
}

/* 0: it is missing, or no number. */
static int64_t number_of(const struct json_node *object, const char *name)
{
	const struct json_node *member = member_of(object, name);
	int64_t number = 0;

	return member == NULL || !json_integer(member, &number) ? 0 : number;
}

static void find_limit(struct walk *walk, const struct json_node *host, const char *name)
{
	const struct json_node *member = member_of(host, name);

	walk_find_in(walk, &limit_row, name, member == NULL ? SLICE("") : member->text,
	        member == NULL ? "must be given" : "is not within the limit");
}

/* A number from 1 to `most`; `zero`: 0 is as good as none. */
static void check_limit(
        struct walk *walk, const struct json_node *host, const char *name, int64_t most, bool zero)
{
	const int64_t number = number_of(host, name);
	const bool given = zero ? number != 0 : member_of(host, name) != NULL;

	if (most > 0 && (given ? number < 1 || number > most : !walk->update)) {
		find_limit(walk, host, name);
	}
}

static void check_cpus(struct walk *walk, const struct json_node *host, int64_t most)
{
	enum { STANDARD_PERIOD = 100000 }; /* microseconds */
	const int64_t quota = number_of(host, "CpuQuota");
	const int64_t period = number_of(host, "CpuPeriod");
	const int64_t base = period == 0 ? STANDARD_PERIOD : period;

	if (quota == 0 && period == 0) {
		check_limit(walk, host, "NanoCpus", most, true);
	} else if (quota <= 0 || base < 0 || quota > INT64_MAX / 1000000000 ||
	           quota * 1000000000 / base > most) {
		find_limit(walk, host, "CpuQuota");
	} else if (walk->update && period == 0) {
		/* With the period that the container has, it may be any share. */
		find_limit(walk, host, "CpuPeriod");
	}
}

static bool is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

/*
 * NULL: all entries for `name` in the list, one at least, are within the limit. The Engine writes
 * names in capitals, where letters beyond ASCII become letters of ASCII.
 */
static const char *check_ulimit(const struct json_node *list, struct slice name, int64_t most)
{
	const char *problem = "must be given";

	for (const struct json_node *at = json_first(list); at != NULL; at = json_next(list, at)) {
		const struct slice given = text_of(json_member(at, SLICE("Name")));
		const bool named = slice_equal_nocase(given, name);
		const int64_t hard = number_of(at, "Hard");
		const int64_t soft = number_of(at, "Soft");
		if (!named && is_ascii(given)) {
			continue;
		}
		if (hard < 0 || soft < 0 || hard > most || soft > most) {
			return "is not within the limit";
		}
		problem = named ? NULL : problem;
	}
	return problem;
}

static void check_ulimits(
        struct walk *walk, const struct json_node *host, const struct limits *limits)
{
	static const struct json_node none = {.type = JSON_ARRAY, .size = 1};
	const struct json_node *given = host == NULL ? NULL : json_member(host, SLICE("Ulimits"));
	const struct json_node *list = given == NULL ? &none : given;

	for (unsigned i = 0; i < limits->ulimit_count; i++) {
		const struct slice name = limits->ulimits[i].name;
		const char *problem = check_ulimit(list, name, limits->ulimits[i].most);
		if (problem != NULL) {
			walk_find_in(walk, &limit_row, "Ulimits", name, problem);
		}
	}
}

CHECK(LIMITS)
{
	const struct limits *limits = &walk->constraints->limits;
	const int64_t swap = number_of(value, "MemorySwap");

	(void)row;
	check_limit(walk, value, "Memory", limits->memory, true);
	if (limits->memory > 0 && (swap < 0 || swap > 2 * limits->memory)) {
		find_limit(walk, value, "MemorySwap");
	}
	check_limit(walk, value, "PidsLimit", limits->pids, false);
	if (limits->cpus > 0) {
		check_cpus(walk, value, limits->cpus);
	}
	if (!walk->update) {
		check_ulimits(walk, value, limits);
	}
}

CHECK(CREATION)
{
	const struct json_node *mode =
	        value == NULL ? NULL : json_member(value, SLICE("NetworkMode"));

	check_LIMITS(walk, row, value);
	if (mode == NULL || mode->type == JSON_NULL) {
		const struct slice bridge = SLICE("bridge");
		if (!allows(walk, &network_row, bridge)) {
			walk_find_in(walk, &network_row, "NetworkMode", bridge, NULL);
		}
	}
}
