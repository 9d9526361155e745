/* SPDX-License-Identifier: MIT */
/*
 * wollomatic's proxy: for each method regular expressions over the whole path,
 * as flags, as SP_ variables, and as labels of the containers that may connect.
 */
#include "convert/sources.h"

#include <errno.h>
#include <stdio.h>

static const char own_policy[] = "wollomatic";
static const char *const methods[] = {
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "OPTIONS"};

struct wollomatic {
	const struct input *input;
	struct draft *draft;
	const char *prefix; /* of labels, "socket-proxy" */
};

/* ── Rules ───────────────────────────────────────────────────────────────── */

/* Whether `name` is `start`, or begins with it and `separator`. */
static bool is_named(const char *name, const char *start, char separator)
{
	const size_t len = strlen(start);

	return strncmp(name, start, len) == 0 && (name[len] == '\0' || name[len] == separator);
}

static bool is_for_method(const struct setting *setting, const char *method)
{
	char name[64];

	(void)snprintf(name, sizeof(name),
	        setting->kind == SETTING_FLAG ? "allow%s" : "SP_ALLOW_%s", method);
	return (setting->kind == SETTING_FLAG && strcmp(setting->name, name) == 0) ||
	       (setting->kind == SETTING_VARIABLE && is_named(setting->name, name, '_'));
}

static bool has_flag(const struct input *input, const char *method)
{
	for (unsigned i = 0; i < input->count; i++) {
		if (input->settings[i].kind == SETTING_FLAG &&
		        is_for_method(&input->settings[i], method)) {
			return true;
		}
	}
	return false;
}

static int write_pattern(struct draft *draft, const struct setting *setting, const char *method)
{
	const struct pattern_rule rule = {
	        .methods = &method,
	        .method_count = 1,
	        .pattern = setting->value,
	        .place = setting->place,
	};

	if (strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0) {
		draft_say(draft, DRAFT_DOUBT,
		        "NOT CONVERTED: %s=%s: the Engine has nothing for %s.", setting->name,
		        setting->value, method);
		return 0;
	}
	draft_say(draft, DRAFT_REMARK, "%s%s=%s", setting->kind == SETTING_FLAG ? "-" : "",
	        setting->name, setting->value);
	return convert_pattern_rule(draft, &rule);
}

/* A flag for a method takes its variables out. */
static int write_method(struct wollomatic *wollomatic, const char *method)
{
	const struct input *input = wollomatic->input;
	const bool flags = has_flag(input, method);

	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		if (is_for_method(setting, method) && (setting->kind == SETTING_FLAG || !flags) &&
		        write_pattern(wollomatic->draft, setting, method) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* The original looks at the mounts of these. Until this program does, nothing may pass. */
static int write_bind_mounts(struct draft *draft, const struct setting *setting)
{
	static const char *const operations[] = {"container.create", "container.update",
	        "service.create", "service.update", "volume.create"};
	const struct draft_rule rule = {
	        .operations = operations,
	        .operation_count = ARRAY_LEN(operations),
	        .place = setting->place,
	};

	draft_say(draft, DRAFT_LOST,
	        "%s=%s: mounts are not looked at. So that nobody mounts anything else, creating "
	        "and "
	        "updating containers, services and volumes is denied: take the rule deny: "
	        "[container.create, ...] out to allow any mount.",
	        setting->name, setting->value);
	return draft_rule(draft, &rule);
}

static int write_default_policy(struct wollomatic *wollomatic)
{
	const struct setting *mounts =
	        input_find(wollomatic->input, "allowbindmountfrom", "SP_ALLOWBINDMOUNTFROM");

	if (draft_policy(wollomatic->draft, own_policy) < 0) {
		return -EINVAL;
	}
	if (mounts != NULL && mounts->value[0] != '\0' &&
	        write_bind_mounts(wollomatic->draft, mounts) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		if (write_method(wollomatic, methods[i]) < 0) {
			return -EINVAL;
		}
	}
	if (draft_compile(wollomatic->draft) < 0) {
		return -EINVAL;
	}
	convert_note_attach(wollomatic->draft);
	return 0;
}

/* ── Labels ──────────────────────────────────────────────────────────────── */

/* "get" of "socket-proxy.allow.get.2"; NULL: it is no label of the proxy. */
static const char *label_end(const struct wollomatic *wollomatic, const struct setting *setting)
{
	const size_t len = strlen(wollomatic->prefix);
	const char *name = setting->name;

	if (setting->kind != SETTING_LABEL || strncmp(name, wollomatic->prefix, len) != 0 ||
	        strncmp(name + len, ".allow.", 7) != 0) {
		return NULL;
	}
	return name + len + 7;
}

static int write_label(struct wollomatic *wollomatic, const struct setting *setting)
{
	const char *end = label_end(wollomatic, setting);
	const struct slice name = slice_of(end);

	if (is_named(end, "bindmountfrom", '.')) {
		return write_bind_mounts(wollomatic->draft, setting);
	}
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		const size_t len = strlen(methods[i]);
		if (slice_starts_with_nocase(name, slice_of(methods[i])) &&
		        (end[len] == '\0' || end[len] == '.')) {
			return write_pattern(wollomatic->draft, setting, methods[i]);
		}
	}
	draft_say(wollomatic->draft, DRAFT_DOUBT, "NOT CONVERTED: %s=%s", setting->name,
	        setting->value);
	return 0;
}

static bool is_policy_name(const char *name)
{
	const size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                                "0123456789_-");

	return len > 0 && name[len] == '\0' && len < POLICY_NAME_MAX;
}

/* The labels of the same service from `first` on: those of mounts, or the others. */
static int write_labels(struct wollomatic *wollomatic, unsigned first, bool mounts)
{
	const struct input *input = wollomatic->input;
	const char *service = input->settings[first].service;

	for (unsigned i = first; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const char *end = label_end(wollomatic, setting);
		if (end != NULL && strcmp(setting->service, service) == 0 &&
		        is_named(end, "bindmountfrom", '.') == mounts &&
		        write_label(wollomatic, setting) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* A policy from the labels of the service at `first`, mounts in front: deny comes before allow. */
static int write_service(struct wollomatic *wollomatic, unsigned first)
{
	const struct setting *start = &wollomatic->input->settings[first];
	char name[POLICY_NAME_MAX];

	if (!is_policy_name(start->service)) {
		return fault_set(wollomatic->draft->error, start->place,
		        "service '%s' cannot give a policy its name: letters, digits, _ and - can",
		        text_show(slice_of(start->service)).text);
	}
	(void)snprintf(name, sizeof(name), "client-%.48s", start->service);
	draft_say(wollomatic->draft, DRAFT_LOST,
	        "the labels of %s are for one container, and clients are not told apart. They are "
	        "the policy %s, which no listener uses: give it a listener of its own.",
	        start->service, name);
	if (draft_policy(wollomatic->draft, name) < 0 ||
	        write_labels(wollomatic, first, true) < 0 ||
	        write_labels(wollomatic, first, false) < 0) {
		return -EINVAL;
	}
	return draft_compile(wollomatic->draft);
}

/* How many services have labels of the proxy; their policies are written. -EINVAL. */
static int write_services(struct wollomatic *wollomatic)
{
	const struct input *input = wollomatic->input;
	const char *last = NULL;
	int count = 0;

	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		if (label_end(wollomatic, setting) == NULL ||
		        (last != NULL && strcmp(last, setting->service) == 0)) {
			continue;
		}
		last = setting->service;
		count++;
		if (write_service(wollomatic, i) < 0) {
			return -EINVAL;
		}
	}
	return count;
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

static bool list_has(const char *list, struct slice word)
{
	struct slice rest = slice_of(list);
	struct slice element;

	while (slice_next(&rest, ',', &element)) {
		if (slice_equal(element, word)) {
			return true;
		}
	}
	return false;
}

/* The variable is octal; the flag is what a literal of Go is: 0600 octal, 600 decimal. */
static bool read_mode(const struct setting *setting, unsigned *ret_mode)
{
	const char *digits = setting->value;
	const bool octal = setting->kind == SETTING_VARIABLE || digits[0] == '0';
	unsigned mode = 0;

	digits += strncmp(digits, "0o", 2) == 0 ? 2 : 0;
	const size_t len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > (octal ? '7' : '9') || mode > 0777) {
			return false;
		}
		mode = mode * (octal ? 8 : 10) + (unsigned)(digits[i] - '0');
	}
	*ret_mode = mode;
	return len > 0 && mode <= 0777;
}

static int write_unix_listener(struct wollomatic *wollomatic, const char *path)
{
	const struct input *input = wollomatic->input;
	const struct setting *setting =
	        input_find(input, "proxysocketendpointfilemode", "SP_PROXYSOCKETENDPOINTFILEMODE");
	const size_t size = sizeof("unix://") + strlen(path);
	char *address = arena_take(&wollomatic->draft->arena, size);
	unsigned mode = 0600;

	if (setting != NULL && setting->value[0] != '\0' && !read_mode(setting, &mode)) {
		return fault_set(wollomatic->draft->error, setting->place,
		        "%s: '%s' is not accepted: it is a file's mode of at most 0777, such as "
		        "0660",
		        setting->name, text_show(slice_of(setting->value)).text);
	}
	(void)snprintf(address, size, "unix://%s", path);
	const struct draft_listener listener = {
	        .address = address,
	        .policy = own_policy,
	        .mode = mode,
	        .place = input_place(input, "proxysocketendpoint", "SP_PROXYSOCKETENDPOINT"),
	};
	return draft_listener(wollomatic->draft, &listener);
}

/* Where everyone may connect as they could: "0.0.0.0/0" is everyone over IPv4. */
static const char *open_address(struct wollomatic *wollomatic, struct slice host, struct slice port)
{
	const char *from =
	        input_value(wollomatic->input, "allowfrom", "SP_ALLOWFROM", "127.0.0.1/32");
	const bool ipv4 = list_has(from, SLICE("0.0.0.0/0"));
	const bool ipv6 = list_has(from, SLICE("::/0"));
	const bool is_ipv6 = memchr(host.ptr, ':', host.len) != NULL;
	struct arena *arena = &wollomatic->draft->arena;

	if (convert_is_loopback(host) || (ipv4 && (ipv6 || !is_ipv6)) ||
	        (ipv6 && is_ipv6 && ipv4)) {
		return convert_tcp_address(arena, host, port);
	}
	if (ipv4 && slice_equal(host, SLICE("::"))) {
		return convert_tcp_address(arena, SLICE("0.0.0.0"), port);
	}
	return NULL;
}

/* As it was, or on loopback where clients would get in that did not. */
static const char *choose_address(
        struct wollomatic *wollomatic, struct slice host, struct slice port, bool labels)
{
	const struct setting *from = input_find(wollomatic->input, "allowfrom", "SP_ALLOWFROM");
	const char *address = open_address(wollomatic, host, port);
	struct arena *arena = &wollomatic->draft->arena;
	const char *was = convert_tcp_address(arena, host, port);

	if (address == NULL) {
		draft_say(wollomatic->draft, DRAFT_LOST,
		        "allowfrom=%s: clients are not told apart by their addresses. So that "
		        "nobody else gets in, the listener is on 127.0.0.1 and no longer on %.*s. "
		        "Where only those clients can reach it, a Docker network of their own "
		        "for example, make its address %s.",
		        from != NULL ? from->value : "127.0.0.1/32, the default", SLICE_FMT(host),
		        was);
	} else if (labels && !convert_is_loopback(host)) {
		draft_say(wollomatic->draft, DRAFT_LOST,
		        "while clients are not told apart, the listener is on 127.0.0.1 and not "
		        "on %.*s; when each has its own, make the address of this one %s.",
		        SLICE_FMT(host), was);
		address = NULL;
	}
	return address != NULL ? address : convert_tcp_address(arena, SLICE("127.0.0.1"), port);
}

static int write_tcp_listener(struct wollomatic *wollomatic, bool labels)
{
	const struct input *input = wollomatic->input;
	const struct slice host =
	        slice_of(input_value(input, "listenip", "SP_LISTENIP", "127.0.0.1"));
	const struct slice port = slice_of(input_value(input, "proxyport", "SP_PROXYPORT", "2375"));

	if (!convert_is_port(port)) {
		const struct setting *setting = input_find(input, "proxyport", "SP_PROXYPORT");
		return fault_set(wollomatic->draft->error, setting->place,
		        "%s: '%s' is not accepted: a port is a whole number from 1 to 65535",
		        setting->name, text_show(port).text);
	}
	const struct draft_listener listener = {
	        .address = choose_address(wollomatic, host, port, labels),
	        .policy = own_policy,
	        .place = input_place(input, "listenip", "SP_LISTENIP"),
	};
	return draft_listener(wollomatic->draft, &listener);
}

/* What goes on as a variable of the environment, and what is not needed. */
static void note_rest(struct wollomatic *wollomatic)
{
	static const struct {
		const char *flag;
		const char *variable;
		const char *text;
	} rest[] = {
	        {"loglevel", "SP_LOGLEVEL",
	                "is LOG_LEVEL in the environment: debug, info, warning, err"},
	        {"logjson", "SP_LOGJSON", "is LOG_FORMAT=json in the environment"},
	        {"shutdowngracetime", "SP_SHUTDOWNGRACETIME",
	                "is SHUTDOWN_GRACE in the environment"},
	        {"allowhealthcheck", "SP_ALLOWHEALTHCHECK",
	                "needs no setting: docker-socket-proxy healthcheck asks a running proxy"},
	        {"watchdoginterval", "SP_WATCHDOGINTERVAL",
	                "needs no setting: docker-socket-proxy healthcheck sees an Engine that is "
	                "gone"},
	        {"stoponwatchdog", "SP_STOPONWATCHDOG",
	                "needs no setting: the proxy connects anew when the Engine is back"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rest); i++) {
		const struct setting *setting =
		        input_find(wollomatic->input, rest[i].flag, rest[i].variable);
		if (setting != NULL) {
			draft_say(wollomatic->draft, DRAFT_NOTE, "%s%s%s %s.", setting->name,
			        setting->value[0] != '\0' ? "=" : "", setting->value, rest[i].text);
		}
	}
}

static bool is_pattern(const struct setting *setting)
{
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		if (is_for_method(setting, methods[i])) {
			return true;
		}
	}
	return false;
}

static void note_unknown(const struct wollomatic *wollomatic)
{
	static const char *const flags[] = {"allowfrom", "allowbindmountfrom", "allowhealthcheck",
	        "dockerlabelprefix", "listenip", "logjson", "loglevel", "proxycontainername",
	        "proxyport", "proxysocketendpoint", "proxysocketendpointfilemode",
	        "shutdowngracetime", "socketpath", "stoponwatchdog", "watchdoginterval"};
	static const struct known_settings known = {"SP_", flags, ARRAY_LEN(flags)};

	for (unsigned i = 0; i < wollomatic->input->count; i++) {
		const struct setting *setting = &wollomatic->input->settings[i];
		if (!is_pattern(setting)) {
			convert_note_unknown(wollomatic->draft, &known, setting);
		}
	}
}

static bool has_labels(const struct wollomatic *wollomatic)
{
	for (unsigned i = 0; i < wollomatic->input->count; i++) {
		if (label_end(wollomatic, &wollomatic->input->settings[i]) != NULL) {
			return true;
		}
	}
	return false;
}

/* Labels count only for a proxy that knows its own name, and over TCP. Whether they did, or
 * -EINVAL. */
static int write_labelled(struct wollomatic *wollomatic, bool over_tcp)
{
	const char *container =
	        input_value(wollomatic->input, "proxycontainername", "SP_PROXYCONTAINERNAME", NULL);

	if (container != NULL && over_tcp) {
		return write_services(wollomatic);
	}
	if (has_labels(wollomatic)) {
		draft_say(wollomatic->draft, DRAFT_NOTE,
		        "The labels %s.allow.* did nothing: the original looks at them "
		        "only with -proxycontainername, and over TCP.",
		        wollomatic->prefix);
	}
	return 0;
}

int convert_wollomatic(struct input *input, struct draft *draft)
{
	struct wollomatic wollomatic = {
	        .input = input,
	        .draft = draft,
	        .prefix = input_value(
	                input, "dockerlabelprefix", "SP_DOCKERLABELPREFIX", "socket-proxy"),
	};
	const char *endpoint =
	        input_value(input, "proxysocketendpoint", "SP_PROXYSOCKETENDPOINT", NULL);

	draft_say(draft, DRAFT_NOTE,
	        "An API version is no part of a path here: what the original let through with or "
	        "without one passes in both spellings, which the Engine treats alike.");
	note_rest(&wollomatic);
	note_unknown(&wollomatic);
	if (draft_upstream(draft,
	            input_value(input, "socketpath", "SP_SOCKETPATH", "/var/run/docker.sock"),
	            input_place(input, "socketpath", "SP_SOCKETPATH")) < 0 ||
	        write_default_policy(&wollomatic) < 0) {
		return -EINVAL;
	}
	const int labels = write_labelled(&wollomatic, endpoint == NULL);
	if (labels < 0) {
		return -EINVAL;
	}
	return endpoint != NULL ? write_unix_listener(&wollomatic, endpoint)
	                        : write_tcp_listener(&wollomatic, labels > 0);
}
