/* SPDX-License-Identifier: MIT */
/*
 * CetusGuard: rules that are methods and a regular expression with variables,
 * from a file, the environment or flags.
 */
#include "convert/sources.h"

#include "address/address.h"

#include <errno.h>

enum {
	EXPANDED_MAX = 16 * 1024, /* bytes of a pattern whose variables are replaced */
	EXPANSIONS_MAX = 256,     /* variables in one pattern, nested ones included */
	METHODS_MAX = 16,
};

static const char own_policy[] = "cetusguard";

const struct known_setting convert_cetusguard_settings[] = {
        {.flag = "backend-addr", .variable = "CETUSGUARD_BACKEND_ADDR"},
        {.variable = "CONTAINER_HOST"},
        {.variable = "DOCKER_HOST"},
        {.flag = "backend-tls-cacert", .variable = "CETUSGUARD_BACKEND_TLS_CACERT"},
        {.flag = "backend-tls-cert", .variable = "CETUSGUARD_BACKEND_TLS_CERT"},
        {.flag = "backend-tls-key", .variable = "CETUSGUARD_BACKEND_TLS_KEY"},
        {.flag = "frontend-addr", .variable = "CETUSGUARD_FRONTEND_ADDR"},
        {.flag = "frontend-tls-cacert", .variable = "CETUSGUARD_FRONTEND_TLS_CACERT"},
        {.flag = "frontend-tls-cert", .variable = "CETUSGUARD_FRONTEND_TLS_CERT"},
        {.flag = "frontend-tls-key", .variable = "CETUSGUARD_FRONTEND_TLS_KEY"},
        {.flag = "log-level",
                .variable = "CETUSGUARD_LOG_LEVEL",
                .note = "is LOG_LEVEL in the environment: crit, err, warning, info or debug"},
        {.flag = "no-builtin-rules", .variable = "CETUSGUARD_NO_BUILTIN_RULES", .alone = true},
        {.flag = "rules", .variable = "CETUSGUARD_RULES"},
        {.flag = "rules-file", .variable = "CETUSGUARD_RULES_FILE"},
        {.flag = "version", .alone = true},
        {.flag = NULL},
};

/* ── Variables ───────────────────────────────────────────────────────────── */

static const struct {
	struct slice name;
	const char *text;
} variables[] = {
#define VARIABLE(word, expression) {SLICE_INIT(word), expression},
#include "convert/cetusguard.def"
#undef VARIABLE
};

/* "API_PREFIX_CONTAINERS": the prefix and the section's segment. */
static bool add_section(struct text *text, struct slice name)
{
	if (!slice_skip(&name, SLICE("API_PREFIX_"))) {
		return false;
	}
	for (unsigned section = 0; section < DOCKER_SECTION_COUNT; section++) {
		const struct slice segment = docker_section_segment((enum docker_section)section);
		const bool libpod = slice_starts_with(segment, SLICE("libpod/"));
		if (slice_equal(name,
		            slice_of(docker_section_variable((enum docker_section)section)))) {
			text_add(text,
			        libpod ? SLICE("/v[0-9]+(?:\\.[0-9]+)*/") : SLICE("%API_PREFIX%/"));
			text_add(text, segment);
			return true;
		}
	}
	return false;
}

static bool add_variable(struct text *text, struct slice name)
{
	for (unsigned i = 0; i < ARRAY_LEN(variables); i++) {
		if (slice_equal(name, variables[i].name)) {
			text_add(text, slice_of(variables[i].text));
			return true;
		}
	}
	return add_section(text, name);
}

/* Replace the first variable; false: there is none. */
static bool expand_once(struct arena *arena, struct slice *pattern)
{
	const char *end = pattern->ptr + pattern->len;
	char *memory = check_memory(arena_take(arena, EXPANDED_MAX));

	for (const char *open = pattern->ptr; open < end; open++) {
		const char *close =
		        *open == '%' ? memchr(open + 1, '%', (size_t)(end - open - 1)) : NULL;
		if (close == NULL) {
			continue;
		}
		struct text text = text_over(memory, EXPANDED_MAX);
		text_add(&text, slice_between(pattern->ptr, open));
		if (add_variable(&text, slice_between(open + 1, close))) {
			text_add(&text, slice_between(close + 1, end));
			*pattern = text.overflow ? SLICE("(") : text_slice(&text);
			return true;
		}
	}
	return false;
}

/* NULL: the result is too long. */
static const char *expand(struct arena *arena, struct slice pattern)
{
	struct arena scratch = {.chunks = NULL};
	unsigned count = 0;

	while (count < EXPANSIONS_MAX && expand_once(&scratch, &pattern)) {
		count++;
	}
	const char *expanded =
	        count == EXPANSIONS_MAX ? NULL : check_memory(arena_copy(arena, pattern));
	arena_free(&scratch);
	return expanded;
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

/* "GET,HEAD", without methods that the Engine does not have. False: it is not a list of methods. */
static bool read_methods(struct draft *draft, struct slice list, const char *methods[METHODS_MAX],
        unsigned *ret_count)
{
	struct slice word;

	*ret_count = 0;
	while (slice_next(&list, ',', &word)) {
		const char *method = check_memory(arena_copy(&draft->arena, word));
		if (word.len == 0 || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != word.len ||
		        *ret_count == METHODS_MAX) {
			return false;
		}
		if (docker_method_of(word) != DOCKER_METHOD_OTHER) {
			methods[(*ret_count)++] = method;
		} else {
			draft_say(
			        draft, DRAFT_DROPPED, "the Engine has no request with %s.", method);
		}
	}
	return true;
}

/* A rule is trimmed, not empty, and not a comment. */
static int write_rule(struct draft *draft, const struct setting *setting)
{
	const char *methods[METHODS_MAX];
	const size_t len = strcspn(setting->value, " \t");
	const struct slice pattern = slice_trim(slice_of(setting->value + len));
	struct pattern_rule rule = {.methods = methods, .place = setting->place};

	draft_say(draft, DRAFT_REMARK, "%s", setting->value);
	if (pattern.len == 0 || !read_methods(draft, (struct slice){setting->value, len}, methods,
	                                &rule.method_count)) {
		return fault_set(draft->error, setting->place,
		        "'%s' is not a rule: write METHOD[,METHOD]... PATTERN, such as GET "
		        "%%API_PREFIX_CONTAINERS%%/json",
		        text_show(slice_of(setting->value)).text);
	}
	rule.pattern = expand(&draft->arena, pattern);
	if (rule.pattern == NULL) {
		return fault_set(draft->error, setting->place,
		        "'%s' has more than %d variables, or is too long when they are replaced",
		        text_show(slice_of(setting->value)).text, EXPANSIONS_MAX);
	}
	return rule.method_count == 0 ? 0 : convert_pattern_rule(draft, &rule);
}

static int write_builtin_rules(struct draft *draft, const struct input *input)
{
	static const char *const operations[] = {"system.ping", "system.version", "system.info",
	        "libpod.system.ping", "libpod.system.version", "libpod.system.info"};
	const struct policy_match match = {
	        .operations = operations, .operation_count = ARRAY_LEN(operations)};

	if (input_is_true(input, "no-builtin-rules")) {
		return 0;
	}
	draft_say(draft, DRAFT_REMARK, "The original's builtin rules");
	return draft_rule(draft, true, &match, (struct place){input->file, 1});
}

/* Add each rule in the value of a setting as a setting of its own. */
static int cut_rules(struct input *input)
{
	const unsigned count = input->count;
	const struct setting *winner = input_find(input, "rules");

	for (unsigned i = 0; winner != NULL && i < count; i++) {
		const struct setting *setting = &input->settings[i];
		const bool flag = setting->kind == SETTING_FLAG && winner->kind == SETTING_FLAG &&
		                  strcmp(setting->name, winner->name) == 0;
		if ((flag || setting == winner) &&
		        input_read_rules(input, slice_of(setting->value), setting->place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int write_policy(struct input *input, struct draft *draft)
{
	const char *file = input_value(input, "rules-file", NULL);

	if (file != NULL) {
		draft_say(draft, DRAFT_LOST,
		        "the rules of %s: convert that file separately, and add its rules to "
		        "these.",
		        file);
	}
	if (draft_policy(draft, own_policy) < 0 || write_builtin_rules(draft, input) < 0 ||
	        cut_rules(input) < 0) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < input->count; i++) {
		if (input->settings[i].kind == SETTING_RULE &&
		        write_rule(draft, &input->settings[i]) < 0) {
			return -EINVAL;
		}
	}
	return draft_compile(draft);
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

static int write_listener(
        struct input *input, struct draft *draft, const char *given, struct place place)
{
	const bool tls = input_find(input, "frontend-tls-cert") != NULL ||
	                 input_find(input, "frontend-tls-key") != NULL ||
	                 input_find(input, "frontend-tls-cacert") != NULL;
	struct draft_listener listener = {given, own_policy, 0, place};
	struct slice host = slice_of(given);

	if (address_path(given) != NULL) {
		return draft_listener(draft, &listener);
	}
	const bool tcp = slice_skip(&host, SLICE("tcp://"));
	const char *colon = memrchr(host.ptr, ':', host.len);
	if (!tcp || colon == NULL || !draft_is_port(slice_of(colon + 1))) {
		return fault_set(draft->error, place,
		        "'%s' is not accepted as an address to listen on: give tcp://HOST:PORT or "
		        "unix:///PATH",
		        text_show(slice_of(given)).text);
	}
	host = slice_between(host.ptr, colon);
	listener.address = draft_tcp_address(draft, host, slice_of(colon + 1));
	if (tls && !draft_is_loopback(host)) {
		draft_say(draft, DRAFT_LOST,
		        "TLS of %s. The listener is on 127.0.0.1, because any client could connect "
		        "without TLS. If only its clients can reach it, make its address %s.",
		        given, listener.address);
		listener.address =
		        draft_tcp_address(draft, SLICE("127.0.0.1"), slice_of(colon + 1));
	}
	return draft_listener(draft, &listener);
}

/* The addresses of the flags, or of the variable; otherwise the default of the image or program. */
static int write_listeners(struct input *input, struct draft *draft)
{
	const struct setting *last = input_find(input, "frontend-addr");

	if (last == NULL || last->value[0] == '\0') {
		return write_listener(input, draft,
		        input->service != NULL ? "tcp://:2375" : "tcp://127.0.0.1:2375",
		        (struct place){input->file, 1});
	}
	for (unsigned i = 0; i < input->count; i++) {
		const struct setting *setting = &input->settings[i];
		const bool flag = setting->kind == SETTING_FLAG && last->kind == SETTING_FLAG &&
		                  strcmp(setting->name, last->name) == 0;
		if ((flag || setting == last) &&
		        write_listener(input, draft, setting->value, setting->place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int write_upstream(const struct input *input, struct draft *draft)
{
	static const char *const names[] = {"backend-addr", "CONTAINER_HOST", "DOCKER_HOST"};
	const struct setting *setting = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(names) && setting == NULL; i++) {
		setting = input_find(input, names[i]);
	}
	if (setting == NULL || setting->value[0] == '\0') {
		return draft_upstream(
		        draft, "/var/run/docker.sock", (struct place){input->file, 1});
	}
	const char *path = address_path(setting->value);
	if (path == NULL) {
		return fault_set(draft->error, setting->place,
		        "%s: '%s' cannot be converted: the Engine is reached through a unix "
		        "socket only; give unix:///PATH",
		        setting->name, text_show(slice_of(setting->value)).text);
	}
	return draft_upstream(draft, path, setting->place);
}

int convert_cetusguard(struct input *input, struct draft *draft)
{
	return write_upstream(input, draft) < 0 || write_policy(input, draft) < 0
	               ? -EINVAL
	               : write_listeners(input, draft);
}
