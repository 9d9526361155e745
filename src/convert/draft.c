/* SPDX-License-Identifier: MIT */
#include "convert/draft.h"

#include "gate/gate.h"

#include "address/address.h"
#include "yaml/write.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

enum {
	PARTS = 5,
	PART_MAX = 256 * 1024, /* bytes of each part of the result */
	SENTENCE_MAX = 4096,   /* bytes of one comment */
};

void draft_new(struct draft *ret_draft, char error[FAULT_MAX])
{
	struct text *const parts[PARTS] = {&ret_draft->head, &ret_draft->listeners,
	        &ret_draft->upstream, &ret_draft->policies, &ret_draft->warnings};

	*ret_draft = (struct draft){.set = check_memory(policy_set_new())};
	ret_draft->error = error;
	/* Not from the arena, which writes to all of its memory. */
	ret_draft->memory = check_memory(malloc((size_t)PARTS * PART_MAX));
	for (unsigned i = 0; i < PARTS; i++) {
		*parts[i] = text_over(ret_draft->memory + (size_t)i * PART_MAX, PART_MAX);
	}
}

void draft_free(struct draft *draft)
{
	policy_set_free(draft->set);
	free(draft->memory);
	arena_free(&draft->arena);
}

/* Input may hold escape sequences of a terminal. */
static void make_printable(char *sentence)
{
	for (char *c = sentence; *c != '\0'; c++) {
		*c = *c < 0x20 || *c >= 0x7f ? '?' : *c;
	}
}

void draft_say(struct draft *draft, enum draft_comment comment, const char *format, ...)
{
	static const struct {
		const char *start;
		bool at_rule;
		bool warns;
	} kinds[] = {
	        [DRAFT_NOTE] = {"", false, false},
	        [DRAFT_CAUTION] = {"", false, true},
	        [DRAFT_LOST] = {"NOT CONVERTED: ", false, true},
	        [DRAFT_REMARK] = {"", true, false},
	        [DRAFT_DOUBT] = {"", true, true},
	        [DRAFT_DROPPED] = {"NOT CONVERTED: ", true, true},
	};
	const bool at_rule = kinds[comment].at_rule;
	char sentence[SENTENCE_MAX];
	va_list arguments;

	const int len = snprintf(sentence, sizeof(sentence), "%s", kinds[comment].start);
	va_start(arguments, format);
	(void)vsnprintf(sentence + len, sizeof(sentence) - (size_t)len, format, arguments);
	va_end(arguments);
	make_printable(sentence);
	yaml_add_comment(at_rule ? &draft->policies : &draft->head, at_rule ? "      " : "",
	        slice_of(sentence));
	if (kinds[comment].warns) {
		text_add_format(&draft->warnings, "docker-socket-proxy: %s\n", sentence);
	}
}

/* Other bytes could mean something else to YAML, a terminal or PCRE2 than to the original. */
static bool is_plain(const char *text)
{
	while (*text >= 0x20 && *text < 0x7f) {
		text++;
	}
	return *text == '\0';
}

/* ── Addresses ───────────────────────────────────────────────────────────── */

int draft_listener(struct draft *draft, const struct draft_listener *listener)
{
	struct text *text = &draft->listeners;
	union address parsed;
	const char *problem = address_parse(slice_of(listener->address), &parsed);

	if (problem == NULL && !is_plain(listener->address)) {
		problem = "it has bytes that are not printable ASCII";
	}
	if (problem != NULL) {
		return fault_set(draft->error, listener->place,
		        "'%s' is not accepted as an address to listen on: %s",
		        text_show(slice_of(listener->address)).text, problem);
	}
	text_add_format(text, "  - address: ");
	yaml_add_quoted(text, slice_of(listener->address));
	if (listener->mode != 0) {
		text_add_format(text, "\n    mode: \"%04o\"", listener->mode);
	}
	text_add_format(text, "\n    policy: %s\n", listener->policy);
	return 0;
}

int draft_upstream(struct draft *draft, const char *path, struct place place)
{
	const size_t size = sizeof("unix://") + strlen(path);
	char *address = check_memory(arena_take(&draft->arena, size));
	const char *problem = address_path_problem(slice_of(path));

	if (problem == NULL && !is_plain(path)) {
		problem = "it has bytes that are not printable ASCII";
	}
	if (problem != NULL) {
		return fault_set(draft->error, place,
		        "'%s' is not accepted as the path of the Engine's socket: %s",
		        text_show(slice_of(path)).text, problem);
	}
	(void)snprintf(address, size, "unix://%s", path);
	text_add_format(&draft->upstream, "\nupstream:\n  address: ");
	yaml_add_quoted(&draft->upstream, slice_of(address));
	text_add_char(&draft->upstream, '\n');
	return 0;
}

bool draft_is_port(struct slice port)
{
	uint64_t number;

	return slice_to_u64(port, 65535, &number) == 0 && number > 0;
}

bool draft_is_loopback(struct slice host)
{
	return slice_starts_with(host, SLICE("127.")) || slice_equal(host, SLICE("localhost")) ||
	       slice_equal(host, SLICE("::1")) || slice_equal(host, SLICE("[::1]"));
}

const char *draft_tcp_address(struct draft *draft, struct slice host, struct slice port)
{
	const size_t size = sizeof("tcp://[]:") + host.len + port.len;
	char *address = check_memory(arena_take(&draft->arena, size));

	if (host.len == 0 || slice_equal(host, SLICE("::")) || slice_equal(host, SLICE("[::]"))) {
		host = SLICE("*");
	}
	const bool bare = host.ptr[0] != '[' && memchr(host.ptr, ':', host.len) != NULL;
	(void)snprintf(address, size, "tcp://%s%.*s%s:%.*s", bare ? "[" : "", SLICE_FMT(host),
	        bare ? "]" : "", SLICE_FMT(port));
	return address;
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

int draft_policy(struct draft *draft, const char *name)
{
	text_add_format(&draft->policies, "  %s:\n    rules:\n", name);
	draft->rule_count = 0;
	return policy_new(draft->set, slice_of(name), NOWHERE, &draft->policy, draft->error);
}

int draft_rule(
        struct draft *draft, bool allow, const struct policy_match *match, struct place place)
{
	const char *path = match->path != NULL ? match->path : match->versioned_path;

	if (path != NULL && !is_plain(path)) {
		return fault_set(draft->error, place,
		        "the pattern has bytes that are not printable ASCII, and no path of the "
		        "Engine has such bytes");
	}
	if (draft_check_size(draft) < 0 || policy_add_rule(draft->policy, allow, match, "converted",
	                                           place, draft->error) < 0) {
		return -EINVAL;
	}
	draft->rule_count++;
	text_add_format(&draft->policies, "      - ");
	policy_write_rule(&draft->policies, allow, match);
	text_add_char(&draft->policies, '\n');
	return 0;
}

/* Whether the compiled policy allows a request. */
static bool allows(struct draft *draft, const char *method, const char *path)
{
	enum { QUESTION_MAX = 1024 };
	const struct gate_config config = {.policy = draft->policy, .max_head = QUESTION_MAX};
	const union address nobody = {.any = {.sa_family = AF_UNSPEC}};
	const struct caller caller = caller_from(0, &nobody);
	char memory[QUESTION_MAX];
	struct text head = text_over(memory, sizeof(memory));
	struct http_scan scan = {0};
	struct gate_scratch *scratch = check_memory(arena_take(&draft->arena, sizeof(*scratch)));

	gate_add_head(slice_of(method), slice_of(path), 0, &head);
	const struct gate_question question = {
	        .caller = &caller, .bytes = text_slice(&head), .scan = &scan};
	scratch->judging = check_memory(policy_scratch_new());
	const bool allowed = gate_decide(&config, &question, scratch).action == GATE_FORWARD;
	policy_scratch_free(scratch->judging);
	return allowed;
}

int draft_compile(struct draft *draft)
{
	static const char *const everything[] = {"*"};
	const struct policy_match all = {.operations = everything, .operation_count = 1};

	/* A list of rules cannot be empty; this rule changes no verdict. */
	if ((draft->rule_count == 0 && draft_rule(draft, false, &all, NOWHERE) < 0) ||
	        policy_compile(draft->policy, draft->error) < 0) {
		return -EINVAL;
	}
	if (allows(draft, "GET", "/v1.41/containers/x/attach/ws") &&
	        !allows(draft, "POST", "/v1.41/containers/x/attach")) {
		draft_say(draft, DRAFT_CAUTION,
		        "GET /containers/{id}/attach/ws passes, as it did in the original. A "
		        "client "
		        "with read access can write to a container's standard input with it. If no "
		        "client needs it, add - deny: [container.attach_ws] before the other "
		        "rules.");
	}
	return 0;
}

/* ── The whole ───────────────────────────────────────────────────────────── */

int draft_check_size(struct draft *draft)
{
	return draft->head.overflow || draft->listeners.overflow || draft->upstream.overflow ||
	                       draft->policies.overflow || draft->warnings.overflow
	               ? fault_set(draft->error, NOWHERE,
	                         "the result would be longer than %d bytes", PART_MAX)
	               : 0;
}

void draft_print(const struct draft *draft, FILE *output, FILE *warnings)
{
	(void)fprintf(output, "%.*s", SLICE_FMT(text_slice(&draft->head)));
	(void)fprintf(output, "listeners:\n%.*s", SLICE_FMT(text_slice(&draft->listeners)));
	(void)fprintf(output, "%.*s", SLICE_FMT(text_slice(&draft->upstream)));
	(void)fprintf(output, "\npolicies:\n%.*s", SLICE_FMT(text_slice(&draft->policies)));
	(void)fprintf(warnings, "%.*s", SLICE_FMT(text_slice(&draft->warnings)));
}
