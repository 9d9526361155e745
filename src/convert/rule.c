/* SPDX-License-Identifier: MIT */
/* What several sources need: rules from patterns, addresses. */
#include "convert/pattern.h"
#include "convert/sources.h"

#include <errno.h>
#include <stdio.h>

enum { OPERATIONS_MAX = 64 };

/* ── Operations ──────────────────────────────────────────────────────────── */

static bool has_word(const char *const *words, unsigned count, const char *word)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(words[i], word) == 0) {
			return true;
		}
	}
	return false;
}

/* Which rows of the catalogue a pattern with its methods fits. */
struct rows {
	bool *fits;       /* by row */
	unsigned methods; /* how many of the rule's methods a row was found for */
};

/* Whether an alternative of the pattern is the path of the row. */
static bool has_row(const struct pattern *pattern, const struct docker_endpoint *row)
{
	for (unsigned i = 0; i < pattern->count; i++) {
		if (pattern_is_row(slice_of(pattern->alternatives[i]), slice_of(row->path))) {
			return true;
		}
	}
	return false;
}

static void find_rows(
        const struct pattern_rule *rule, const struct pattern *pattern, struct rows *rows)
{
	for (unsigned m = 0; m < rule->method_count; m++) {
		bool found = false;
		for (unsigned id = 0; id < docker_endpoint_count; id++) {
			const struct docker_endpoint *row = docker_endpoint(id);
			if (strcmp(row->method, rule->methods[m]) == 0 && has_row(pattern, row)) {
				rows->fits[id] = found = true;
			}
		}
		rows->methods += found;
	}
}

/* Whether each alternative is a row's path: nothing of the pattern would be lost. */
static bool is_all_rows(const struct pattern *pattern, const struct rows *rows)
{
	for (unsigned i = 0; i < pattern->count; i++) {
		bool found = false;
		for (unsigned id = 0; !found && id < docker_endpoint_count; id++) {
			found = rows->fits[id] && pattern_is_row(slice_of(pattern->alternatives[i]),
			                                  slice_of(docker_endpoint(id)->path));
		}
		if (!found) {
			return false;
		}
	}
	return true;
}

/*
 * The operations that are exactly what the rule fits; 0: there are none such.
 * An operation of which one row only would fit is not one of them, nor is a
 * rule with a method that has no row.
 */
static unsigned find_operations(const struct pattern_rule *rule, const struct pattern *pattern,
        struct arena *arena, const char *operations[OPERATIONS_MAX])
{
	struct rows rows = {.fits = arena_take(arena, docker_endpoint_count * sizeof(bool))};
	unsigned count = 0;

	find_rows(rule, pattern, &rows);
	if (rows.methods < rule->method_count || !is_all_rows(pattern, &rows)) {
		return 0;
	}
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const char *name = docker_endpoint(id)->operation;
		for (unsigned other = 0; rows.fits[id] && other < docker_endpoint_count; other++) {
			if (!rows.fits[other] &&
			        strcmp(docker_endpoint(other)->operation, name) == 0) {
				return 0;
			}
		}
		if (rows.fits[id] && !has_word(operations, count, name)) {
			if (count == OPERATIONS_MAX) {
				return 0;
			}
			operations[count++] = name;
		}
	}
	return count;
}

/* ── Patterns ────────────────────────────────────────────────────────────── */

/* As many alternatives from `*at` on as one path rule holds. */
static const char *join_alternatives(
        struct arena *arena, const struct pattern *pattern, unsigned *at)
{
	struct text text = text_over(arena_take(arena, POLICY_PATTERN_MAX + 1), POLICY_PATTERN_MAX);
	const unsigned first = *at;

	for (; *at < pattern->count; (*at)++) {
		const struct slice next = slice_of(pattern->alternatives[*at]);
		if (*at > first && text.len + 1 + next.len > POLICY_PATTERN_MAX) {
			break;
		}
		text_add(&text, *at > first ? SLICE("|") : SLICE(""));
		/* "(?i)" would go on into the alternatives behind it. */
		const bool flags = pattern->unclear && slice_starts_with(next, SLICE("(?"));
		text_add(&text, flags ? SLICE("(?:") : SLICE(""));
		text_add(&text, next);
		text_add(&text, flags ? SLICE(")") : SLICE(""));
	}
	return text.overflow ? NULL : text.ptr;
}

static int write_paths(
        struct draft *draft, const struct pattern_rule *rule, const struct pattern *pattern)
{
	for (unsigned at = 0; at < pattern->count;) {
		const struct draft_rule written = {
		        .allow = true,
		        .methods = rule->methods,
		        .method_count = rule->method_count,
		        .path = join_alternatives(&draft->arena, pattern, &at),
		        .place = rule->place,
		};
		if (written.path == NULL) {
			draft_say(draft, DRAFT_DOUBT,
			        "NOT CONVERTED: line %u: a pattern longer than %d bytes. What it "
			        "allowed is denied.",
			        rule->place.line, POLICY_PATTERN_MAX);
		} else if (draft_rule(draft, &written) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static void remark(
        struct draft *draft, const struct pattern_rule *rule, const struct pattern *pattern)
{
	if (pattern->ungrouped) {
		draft_say(draft, DRAFT_DOUBT,
		        "The original was looser: with no parentheses around a|b, '^' belongs to "
		        "the first alternative alone and '$' to the last, so that %s also passed "
		        "paths that only begin, end or go on like one. Here each alternative is "
		        "a whole path.",
		        rule->pattern);
	}
	if (pattern->wide) {
		draft_say(draft, DRAFT_DOUBT,
		        "Where %s has the API version, it takes any number of segments. Write "
		        "v[0-9.]+ there and convert again if only a version was meant.",
		        rule->pattern);
	}
	if (pattern->unclear) {
		draft_say(draft, DRAFT_DOUBT,
		        "The beginning of %s was not understood. Paths have no API version here: "
		        "if the pattern wants one, nothing fits it.",
		        rule->pattern);
	}
	if (pattern->count == 0) {
		draft_say(draft, DRAFT_DOUBT,
		        "%s fits no path of the Engine once the API version is off.",
		        rule->pattern);
	}
}

int convert_pattern_rule(struct draft *draft, const struct pattern_rule *rule)
{
	const char *operations[OPERATIONS_MAX];
	struct pattern *pattern = arena_take(&draft->arena, sizeof(*pattern));

	if (draft_is_full(draft)) {
		return -EINVAL;
	}
	if (!pattern_read(&draft->arena, slice_of(rule->pattern), pattern)) {
		return fault_set(draft->error, rule->place,
		        "'%s' is not accepted: its brackets do not match, or it has more than %d "
		        "bytes or %d alternatives",
		        text_show(slice_of(rule->pattern)).text, PATTERN_LEN_MAX,
		        PATTERN_ALTERNATIVES_MAX);
	}
	remark(draft, rule, pattern);
	const struct draft_rule written = {
	        .allow = true,
	        .operations = operations,
	        .operation_count = find_operations(rule, pattern, &draft->arena, operations),
	        .place = rule->place,
	};
	return written.operation_count > 0 ? draft_rule(draft, &written)
	                                   : write_paths(draft, rule, pattern);
}

void convert_note_attach(struct draft *draft)
{
	if (draft_allows(draft, "GET", "/containers/x/attach/ws") &&
	        !draft_allows(draft, "POST", "/containers/x/attach")) {
		draft_say(draft, DRAFT_CAUTION,
		        "GET /containers/{id}/attach/ws passes, as it did: with it a client that "
		        "was meant to read writes to a container's standard input. If nobody "
		        "needs it, put - deny: [container.attach_ws] in front of the rules.");
	}
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

bool convert_is_port(struct slice port)
{
	uint64_t number;

	return slice_to_u64(port, 65535, &number) == 0 && number > 0;
}

bool convert_is_loopback(struct slice host)
{
	return slice_starts_with(host, SLICE("127.")) || slice_equal(host, SLICE("localhost")) ||
	       slice_equal(host, SLICE("::1")) || slice_equal(host, SLICE("[::1]"));
}

const char *convert_tcp_address(struct arena *arena, struct slice host, struct slice port)
{
	const size_t size = sizeof("tcp://[]:") + host.len + port.len;
	char *address = arena_take(arena, size);
	const bool any = host.len == 0 || slice_equal(host, SLICE("::")) ||
	                 slice_equal(host, SLICE("[::]")) || slice_equal(host, SLICE("*"));
	const bool bare = !any && host.ptr[0] != '[' && memchr(host.ptr, ':', host.len) != NULL;

	if (any) {
		(void)snprintf(address, size, "tcp://*:%.*s", SLICE_FMT(port));
	} else {
		(void)snprintf(address, size, "tcp://%s%.*s%s:%.*s", bare ? "[" : "",
		        SLICE_FMT(host), bare ? "]" : "", SLICE_FMT(port));
	}
	return address;
}
