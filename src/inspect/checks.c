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

/* The words of a command, as they are written in a policy. */
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
		walk_find(walk, row, text_slice(&text), NULL);
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

/*
 * Append an address of a port in its canonical spelling. False: it is no address. The Engine then
 * takes all addresses, as it does for an empty one.
 */
static bool add_address(struct slice address, struct text *text)
{
	char memory[INET6_ADDRSTRLEN];
	struct text copy = text_over(memory, sizeof(memory));
	struct in_addr short_one;
	struct in6_addr long_one;
	const char *name = NULL;

	text_add(&copy, address.len > 0 ? address : SLICE("0.0.0.0"));
	text_add_char(&copy, '\0');
	if (copy.overflow || strlen(memory) + 1 != copy.len) {
		return false;
	}
	if (inet_pton(AF_INET, memory, &short_one) == 1) {
		name = inet_ntop(AF_INET, &short_one, memory, sizeof(memory));
	} else if (inet_pton(AF_INET6, memory, &long_one) == 1) {
		/* The Engine reads ::ffff:127.0.0.1 as 127.0.0.1. */
		name = IN6_IS_ADDR_V4MAPPED(&long_one)
		               ? inet_ntop(AF_INET, &long_one.s6_addr[12], memory, sizeof(memory))
		               : inet_ntop(AF_INET6, &long_one, memory, sizeof(memory));
	}
	text_add(text, slice_of(name == NULL ? "" : name));
	return name != NULL;
}

static void require_port(
        struct walk *walk, const struct row *row, struct slice address, struct slice port)
{
	char memory[INSPECT_WORD_MAX];
	struct text text = text_over(memory, sizeof(memory));

	if (!add_address(address, &text)) {
		walk_find(walk, row, address, "is not an IP address");
		return;
	}
	text_add(&text, SLICE(":"));
	text_add(&text, port.len > 0 ? port : SLICE("0"));
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		walk_find(walk, row, text_slice(&text), NULL);
	}
}

/* "127.0.0.1:8080"; without a port, the Engine chooses one. */
CHECK(PORT)
{
	if (value->type != JSON_FALSE) {
		require_port(walk, row, text_of(json_member(value, SLICE("HostIp"))),
		        text_of(json_member(value, SLICE("HostPort"))));
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

static const struct row below_row = {.key = KEY_CREATE_bind_below, .fine = ""};
static const struct row writable_row = {.key = KEY_CREATE_writable_binds, .fine = ""};

/* Whether the policy names the path itself. */
static bool is_named(const struct walk *walk, struct slice path)
{
	const struct set *set = set_of(walk, KEY_CREATE_bind_sources);

	path.len -= path.len > 1 && slice_ends_with(path, SLICE("/"));
	for (unsigned i = 0; i < set->count; i++) {
		if (slice_equal(set->patterns[i], path)) {
			return true;
		}
	}
	return false;
}

static void check_source(
        struct walk *walk, const struct row *row, const char *member, struct slice path)
{
	if (!word_is_path(path)) {
		walk_find_in(walk, row, member, path,
		        "must be an absolute path without '.', '..' and empty segments");
	} else if (!allows(walk, row, path)) {
		walk_find_in(walk, row, member, path, NULL);
	} else if (!set_of(walk, KEY_CREATE_bind_below)->any && !is_named(walk, path)) {
		walk_find_in(walk, &below_row, member, path, NULL);
	}
}

static void check_writable(struct walk *walk, bool read_only, const char *member, struct slice path)
{
	if (!read_only && !set_of(walk, KEY_CREATE_writable_binds)->any) {
		walk_find_in(walk, &writable_row, member, path, NULL);
	}
}

/* Whether a word is among those between commas. */
static bool has_option(struct slice options, struct slice wanted)
{
	struct slice option;

	while (slice_next(&options, ',', &option)) {
		if (slice_equal(option, wanted)) {
			return true;
		}
	}
	return false;
}

static bool is_true(const struct json_node *object, const char *name)
{
	const struct json_node *member =
	        object == NULL ? NULL : json_member(object, slice_of(name));

	return member != NULL && member->type == JSON_TRUE;
}

/* Read-only with all that is mounted below it. */
static bool is_read_only(const struct json_node *mount)
{
	const struct json_node *options = json_member(mount, SLICE("BindOptions"));

	return is_true(mount, "ReadOnly") && !is_true(options, "ReadOnlyNonRecursive");
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
		check_writable(walk, has_option(rest, SLICE("ro")), NULL, source);
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
			check_writable(walk, is_read_only(value), "Source", source);
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

/* ── Queries ─────────────────────────────────────────────────────────────── */

static const struct row pull_row = {.key = KEY_IMAGE_pull, .fine = ""};
static const struct row push_row = {.key = KEY_IMAGE_push, .fine = ""};
static const struct row tag_row = {.key = KEY_IMAGE_tag, .fine = ""};
static const struct row import_row = {.key = KEY_IMAGE_import, .fine = ""};
static const struct row load_row = {.key = KEY_IMAGE_load, .fine = ""};

/* A finding about a parameter, or, with NULL, about the path. */
static void find_in_request(struct walk *walk, const struct row *row, const char *parameter,
        struct slice word, const char *problem)
{
	walk->place = parameter == NULL ? SLICE("path") : (struct slice){NULL, 0};
	walk->parameter = parameter == NULL ? (struct slice){NULL, 0} : slice_of(parameter);
	walk_find(walk, row, word, problem);
	walk->place = walk->parameter = (struct slice){NULL, 0};
}

/* The value of a parameter. Given twice, readers differ in which one counts. */
static struct slice parameter_of(struct walk *walk, const struct row *row, const char *name)
{
	struct slice rest = walk->query;
	struct slice found = {"", 0};
	struct slice key;
	struct slice value;
	unsigned count = 0;

	while (docker_next_parameter(&rest, &walk->spelled, &key, &value)) {
		if (slice_equal(key, slice_of(name))) {
			found = value;
			count++;
		}
	}
	if (count > 1) {
		find_in_request(walk, row, name, found, "the parameter is given twice");
	}
	return found;
}

/* Whether the reference has a tag or a digest. */
static bool has_tag(struct slice image)
{
	const char *slash = memrchr(image.ptr, '/', image.len);
	const struct slice last =
	        slash == NULL ? image : slice_behind(image, (size_t)(slash + 1 - image.ptr));

	return memchr(last.ptr, ':', last.len) != NULL || memchr(last.ptr, '@', last.len) != NULL;
}

/* `standard`: what the Engine takes where there is no tag; a star: all of them. */
static void check_reference(struct walk *walk, const struct row *row, const char *parameter,
        struct slice image, const char *standard)
{
	const struct slice tag = parameter_of(walk, row, "tag");
	const bool is_digest = memchr(tag.ptr, ':', tag.len) != NULL;
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, image);
	if (tag.len > 0 && has_tag(image)) {
		find_in_request(walk, row, "tag", tag, "the image has a tag already");
	} else if (tag.len > 0 || !has_tag(image)) {
		text_add(&text, is_digest ? SLICE("@") : SLICE(":"));
		text_add(&text, tag.len > 0 ? tag : slice_of(standard));
	}
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		find_in_request(walk, row, parameter, text_slice(&text), NULL);
	}
}

CHECK(JOIN)
{
	const struct slice network = walk->request->name;

	(void)row;
	(void)value;
	if (!allows(walk, &network_row, network)) {
		find_in_request(walk, &network_row, NULL, network, NULL);
	}
}

CHECK(PULL)
{
	(void)row;
	(void)value;
	check_reference(
	        walk, &pull_row, "fromImage", parameter_of(walk, &pull_row, "fromImage"), "*");
}

CHECK(PUSH)
{
	(void)row;
	(void)value;
	check_reference(walk, &push_row, NULL, walk->request->name, "*");
}

CHECK(TAG)
{
	(void)row;
	(void)value;
	check_reference(walk, &tag_row, "repo", parameter_of(walk, &tag_row, "repo"), "latest");
}

/* Without a name, the image has only its id. */
CHECK(COMMIT)
{
	if (parameter_of(walk, &tag_row, "repo").len > 0) {
		check_TAG(walk, row, value);
	}
}

CHECK(IMPORT)
{
	(void)row;
	(void)value;
	if (!set_of(walk, KEY_IMAGE_import)->any) {
		find_in_request(walk, &import_row, NULL, SLICE(""), NULL);
	}
}

CHECK(LOAD)
{
	(void)row;
	(void)value;
	if (!set_of(walk, KEY_IMAGE_load)->any) {
		find_in_request(walk, &load_row, NULL, SLICE(""), NULL);
	}
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

static bool is_within(const struct json_node *ulimit, int64_t most)
{
	const int64_t hard = number_of(ulimit, "Hard");
	const int64_t soft = number_of(ulimit, "Soft");

	return hard >= 0 && soft >= 0 && hard <= most && soft <= most;
}

/* The Engine compares names without their case, and sets all that are given for one. */
static void check_ulimit(
        struct walk *walk, const struct json_node *list, struct slice name, int64_t most)
{
	bool found = false;

	for (const struct json_node *at = list == NULL ? NULL : json_first(list); at != NULL;
	        at = json_next(list, at)) {
		if (!slice_equal_nocase(text_of(json_member(at, SLICE("Name"))), name)) {
			continue;
		}
		found = true;
		if (!is_within(at, most)) {
			walk_find_in(walk, &limit_row, "Ulimits", name, "is not within the limit");
		}
	}
	if (!found) {
		walk_find_in(walk, &limit_row, "Ulimits", name, "must be given");
	}
}

static void check_ulimits(
        struct walk *walk, const struct json_node *host, const struct limits *limits)
{
	const struct json_node *list = host == NULL ? NULL : json_member(host, SLICE("Ulimits"));

	for (unsigned i = 0; i < limits->ulimit_count; i++) {
		check_ulimit(walk, list, limits->ulimits[i].name, limits->ulimits[i].most);
	}
}

/* The Engine writes it in capitals, and a dotless i or a long s is a capital I or S then. */
CHECK(LETTERS)
{
	const struct slice word = text_of(value);

	for (size_t i = 0; i < word.len; i++) {
		if (!ascii_is_alnum(word.ptr[i])) {
			walk_find(walk, row, word, "is not a name in ASCII letters");
			return;
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

/* Engines publish a port whose list is empty as one with an empty element: on all addresses. */
static void check_empty_ports(struct walk *walk, const struct json_node *host)
{
	static const struct row port_row = {.key = KEY_CREATE_publish, .fine = ""};
	const struct json_node *ports =
	        host == NULL ? NULL : json_member(host, SLICE("PortBindings"));

	for (const struct json_node *at = ports == NULL ? NULL : json_first(ports); at != NULL;
	        at = json_next(ports, at)) {
		const struct slice all = SLICE("0.0.0.0:0");
		if (json_first(at) == NULL && !allows(walk, &port_row, all)) {
			walk_find_in(walk, &port_row, "PortBindings", all, NULL);
		}
	}
}

CHECK(CREATION)
{
	const struct json_node *mode =
	        value == NULL ? NULL : json_member(value, SLICE("NetworkMode"));

	check_LIMITS(walk, row, value);
	check_empty_ports(walk, value);
	if (mode == NULL || mode->type == JSON_NULL) {
		const struct slice bridge = SLICE("bridge");
		if (!allows(walk, &network_row, bridge)) {
			walk_find_in(walk, &network_row, "NetworkMode", bridge, NULL);
		}
	}
}
