/* SPDX-License-Identifier: MIT */
/*
 * wollomatic's proxy: regular expressions over the whole path for each method,
 * as flags, as SP_ variables, and as labels of the containers that may connect.
 */
#include "convert/sources.h"

#include <errno.h>

static const char own_policy[] = "wollomatic";

#define METHOD(name)                                                                               \
	{                                                                                          \
		.flag = "allow" name, .variable = "SP_ALLOW_" name, .numbered = true               \
	}

const struct known_setting convert_wollomatic_settings[] = {
        METHOD("GET"),
        METHOD("HEAD"),
        METHOD("POST"),
        METHOD("PUT"),
        METHOD("PATCH"),
        METHOD("DELETE"),
        METHOD("CONNECT"),
        METHOD("TRACE"),
        METHOD("OPTIONS"),
        {.flag = "allowfrom", .variable = "SP_ALLOWFROM"},
        {.flag = "allowbindmountfrom", .variable = "SP_ALLOWBINDMOUNTFROM"},
        {.flag = "dockerlabelprefix", .variable = "SP_DOCKERLABELPREFIX"},
        {.flag = "listenip", .variable = "SP_LISTENIP"},
        {.flag = "proxycontainername", .variable = "SP_PROXYCONTAINERNAME"},
        {.flag = "proxyport", .variable = "SP_PROXYPORT"},
        {.flag = "proxysocketendpoint", .variable = "SP_PROXYSOCKETENDPOINT"},
        {.flag = "proxysocketendpointfilemode", .variable = "SP_PROXYSOCKETENDPOINTFILEMODE"},
        {.flag = "socketpath", .variable = "SP_SOCKETPATH"},
        {.flag = "loglevel",
                .variable = "SP_LOGLEVEL",
                .note = "is LOG_LEVEL in the environment: debug, info, warning, err"},
        {.flag = "logjson",
                .variable = "SP_LOGJSON",
                .alone = true,
                .note = "is LOG_FORMAT=json in the environment"},
        {.flag = "shutdowngracetime",
                .variable = "SP_SHUTDOWNGRACETIME",
                .note = "is SHUTDOWN_GRACE in the environment"},
        {.flag = "allowhealthcheck",
                .variable = "SP_ALLOWHEALTHCHECK",
                .alone = true,
                .note = "needs no setting: docker-socket-proxy healthcheck asks a running proxy"},
        {.flag = "watchdoginterval",
                .variable = "SP_WATCHDOGINTERVAL",
                .note = "needs no setting: docker-socket-proxy healthcheck sees an Engine that is "
                        "gone"},
        {.flag = "stoponwatchdog",
                .variable = "SP_STOPONWATCHDOG",
                .alone = true,
                .note = "needs no setting: the proxy connects anew when the Engine is back"},
        {.flag = NULL},
};

struct wollomatic {
	const struct input *input;
	struct draft *draft;
	const char *prefix; /* of labels, "socket-proxy" */
};

/* ── Rules ───────────────────────────────────────────────────────────────── */

/* The method in the flag of the row, behind "allow"; NULL: the flag has no method. */
static const char *method_of(const struct known_setting *known)
{
	return known != NULL && known->numbered ? known->flag + strlen("allow") : NULL;
}

static int write_pattern(struct draft *draft, const struct setting *setting, const char *method)
{
	const struct pattern_rule rule = {&method, 1, setting->value, setting->place};

	if (docker_method_of(slice_of(method)) == DOCKER_METHOD_OTHER) {
		draft_say(draft, DRAFT_DROPPED, "%s=%s: the Engine has no request with %s.",
		        setting->name, setting->value, method);
		return 0;
	}
	draft_say(draft, DRAFT_REMARK, "%s%s=%s", setting->kind == SETTING_FLAG ? "-" : "",
	        setting->name, setting->value);
	return convert_pattern_rule(draft, &rule);
}

/* The original checks the mounts in these requests; this program does not yet, and denies them. */
static int write_bind_mounts(struct draft *draft, const struct setting *setting)
{
	static const char *const operations[] = {"container.create", "container.update",
	        "service.create", "service.update", "volume.create"};
	const struct policy_match match = {
	        .operations = operations, .operation_count = ARRAY_LEN(operations)};

	draft_say(draft, DRAFT_LOST,
	        "%s=%s: this program does not check mounts. Therefore creating and updating "
	        "containers, services and volumes is denied. To allow any mount, remove the rule "
	        "deny: [container.create, ...].",
	        setting->name, setting->value);
	return draft_rule(draft, false, &match, setting->place);
}

static int write_default_policy(struct wollomatic *wollomatic)
{
	const struct input *input = wollomatic->input;
	const struct setting *mounts = input_find(input, "allowbindmountfrom");

	if (draft_policy(wollomatic->draft, own_policy) < 0 ||
	        (mounts != NULL && mounts->value[0] != '\0' &&
	                write_bind_mounts(wollomatic->draft, mounts) < 0)) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const char *method = method_of(input_known(input, setting));
		/* A flag for a method replaces the variables of this method. */
		if (method != NULL &&
		        input_find(input, input_known(input, setting)->flag)->kind ==
		                setting->kind &&
		        write_pattern(wollomatic->draft, setting, method) < 0) {
			return -EINVAL;
		}
	}
	return draft_compile(wollomatic->draft);
}

/* ── Labels ──────────────────────────────────────────────────────────────── */

/* "get.2" of "socket-proxy.allow.get.2"; ptr NULL: it is not a label of the proxy. */
static struct slice label_end(const struct wollomatic *wollomatic, const struct setting *setting)
{
	struct slice name = slice_of(setting->name);

	return setting->kind == SETTING_LABEL && slice_skip(&name, slice_of(wollomatic->prefix)) &&
	                       slice_skip(&name, SLICE(".allow."))
	               ? name
	               : (struct slice){NULL, 0};
}

static int write_label(struct wollomatic *wollomatic, const struct setting *setting, bool mounts)
{
	struct slice rest = label_end(wollomatic, setting);
	const struct known_setting *known = convert_wollomatic_settings;
	struct slice word;

	(void)slice_next(&rest, '.', &word);
	if (mounts || slice_equal(word, SLICE("bindmountfrom"))) {
		return mounts && slice_equal(word, SLICE("bindmountfrom"))
		               ? write_bind_mounts(wollomatic->draft, setting)
		               : 0;
	}
	for (; method_of(known) != NULL; known++) {
		if (slice_equal_nocase(word, slice_of(method_of(known)))) {
			return write_pattern(wollomatic->draft, setting, method_of(known));
		}
	}
	draft_say(wollomatic->draft, DRAFT_DROPPED, "%s=%s", setting->name, setting->value);
	return 0;
}

/* A policy from the labels of the service at `first`. Mounts come first, because deny rules precede
 * allow rules. */
static int write_service(struct wollomatic *wollomatic, unsigned first)
{
	const struct input *input = wollomatic->input;
	const char *service = input->settings[first].service;
	char name[POLICY_NAME_MAX];

	(void)snprintf(name, sizeof(name), "client-%.48s", service);
	draft_say(wollomatic->draft, DRAFT_LOST,
	        "the labels of %s are for one container, and this program does not identify "
	        "containers. They are the policy %s, which no listener uses: give this policy a "
	        "listener of its own.",
	        service, name);
	if (draft_policy(wollomatic->draft, name) < 0) {
		return -EINVAL;
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = first; i < input->count; i++) {
			const struct setting *setting = &input->settings[i];
			if (label_end(wollomatic, setting).ptr != NULL &&
			        strcmp(setting->service, service) == 0 &&
			        write_label(wollomatic, setting, pass == 0) < 0) {
				return -EINVAL;
			}
		}
	}
	return draft_compile(wollomatic->draft);
}

/*
 * A policy for each service that has labels. The original reads labels only if it knows its own
 * name, and over TCP. The number of policies, or -EINVAL.
 */
static int write_services(struct wollomatic *wollomatic)
{
	const struct input *input = wollomatic->input;
	const bool count_at_all = input_value(input, "proxycontainername", NULL) != NULL &&
	                          input_value(input, "proxysocketendpoint", NULL) == NULL;
	const char *last = "";
	int count = 0;

	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		if (label_end(wollomatic, setting).ptr == NULL ||
		        strcmp(last, setting->service) == 0) {
			continue;
		}
		if (!count_at_all) {
			draft_say(wollomatic->draft, DRAFT_NOTE,
			        "The labels %s.allow.* did nothing: the original reads them only "
			        "with -proxycontainername, and over TCP.",
			        wollomatic->prefix);
			return 0;
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
	struct slice element = {NULL, 0};

	while (slice_next(&rest, ',', &element) && !slice_equal(element, word)) {
		element = (struct slice){NULL, 0};
	}
	return element.ptr != NULL;
}

/* The variable is octal; the flag is a literal of Go: 0600 is octal, 600 is decimal. */
static bool read_mode(const struct setting *setting, unsigned *ret_mode)
{
	const char *digits = setting->value;
	const unsigned base = setting->kind == SETTING_VARIABLE || digits[0] == '0' ? 8 : 10;
	unsigned mode = 0;

	digits += strncmp(digits, "0o", 2) == 0 ? 2 : 0;
	const char *at = digits;
	for (; *at >= '0' && *at < '0' + (char)base && mode <= 0777; at++) {
		mode = mode * base + (unsigned)(*at - '0');
	}
	*ret_mode = mode;
	return at > digits && *at == '\0' && mode <= 0777;
}

static int write_unix_listener(struct wollomatic *wollomatic, const char *path)
{
	const struct input *input = wollomatic->input;
	const struct setting *setting = input_find(input, "proxysocketendpointfilemode");
	const size_t size = sizeof("unix://") + strlen(path);
	char *address = check_memory(arena_take(&wollomatic->draft->arena, size));
	unsigned mode = 0600;

	if (setting != NULL && setting->value[0] != '\0' && !read_mode(setting, &mode)) {
		return fault_set(wollomatic->draft->error, setting->place,
		        "%s: '%s' is not accepted: give the mode of a file, at most 0777, such as "
		        "0660",
		        setting->name, text_show(slice_of(setting->value)).text);
	}
	(void)snprintf(address, size, "unix://%s", path);
	const struct draft_listener listener = {
	        address, own_policy, mode, input_place(input, "proxysocketendpoint")};
	return draft_listener(wollomatic->draft, &listener);
}

/* The host on which all clients may connect as before ("0.0.0.0/0": all clients over IPv4);
 * host.ptr NULL: the original accepts only some clients. */
static struct slice open_host(const char *from, struct slice host)
{
	const bool ipv4 = list_has(from, SLICE("0.0.0.0/0"));
	const bool ipv6 = list_has(from, SLICE("::/0"));

	if (draft_is_loopback(host) ||
	        (ipv4 && (ipv6 || memchr(host.ptr, ':', host.len) == NULL))) {
		return host;
	}
	return ipv4 && slice_equal(host, SLICE("::")) ? SLICE("0.0.0.0") : (struct slice){NULL, 0};
}

/* The address of the original; on loopback if further clients could connect. */
static int write_tcp_listener(struct wollomatic *wollomatic, bool labels)
{
	const struct input *input = wollomatic->input;
	struct draft *draft = wollomatic->draft;
	const struct slice given = slice_of(input_value(input, "listenip", "127.0.0.1"));
	const struct slice port = slice_of(input_value(input, "proxyport", "2375"));
	const char *from = input_value(input, "allowfrom", "127.0.0.1/32, the default");
	struct slice host = open_host(from, given);

	if (!draft_is_port(port)) {
		return fault_set(draft->error, input_place(input, "proxyport"),
		        "proxyport: '%s' is not accepted: a port is a whole number from 1 to 65535",
		        text_show(port).text);
	}
	const char *was = draft_tcp_address(draft, given, port);
	if (host.ptr == NULL) {
		draft_say(draft, DRAFT_LOST,
		        "allowfrom=%s: this program does not identify clients by their addresses. "
		        "Therefore the listener is on 127.0.0.1 and not on %.*s. If only those "
		        "clients can reach it, on a Docker network of their own for example, make "
		        "its address %s.",
		        from, SLICE_FMT(given), was);
	} else if (labels && !draft_is_loopback(given)) {
		draft_say(draft, DRAFT_LOST,
		        "the labels apply to single clients. Until each client has a listener of "
		        "its "
		        "own, this listener is on 127.0.0.1 and not on %.*s; then make its address "
		        "%s.",
		        SLICE_FMT(given), was);
		host.ptr = NULL;
	}
	const struct draft_listener listener = {
	        .address = draft_tcp_address(
	                draft, host.ptr != NULL ? host : SLICE("127.0.0.1"), port),
	        .policy = own_policy,
	        .place = input_place(input, "listenip"),
	};
	return draft_listener(draft, &listener);
}

int convert_wollomatic(struct input *input, struct draft *draft)
{
	struct wollomatic wollomatic = {
	        .input = input,
	        .draft = draft,
	        .prefix = input_value(input, "dockerlabelprefix", "socket-proxy"),
	};
	const char *endpoint = input_value(input, "proxysocketendpoint", NULL);

	if (draft_upstream(draft, input_value(input, "socketpath", "/var/run/docker.sock"),
	            input_place(input, "socketpath")) < 0 ||
	        write_default_policy(&wollomatic) < 0) {
		return -EINVAL;
	}
	const int labels = write_services(&wollomatic);
	if (labels < 0) {
		return -EINVAL;
	}
	return endpoint != NULL ? write_unix_listener(&wollomatic, endpoint)
	                        : write_tcp_listener(&wollomatic, labels > 0);
}
