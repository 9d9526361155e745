/* SPDX-License-Identifier: MIT */
#include "explain/summary.h"

#include "address/address.h"
#include "explain/clients.h"
#include "explain/explain.h"

#include <limits.h>
#include <stdio.h>

enum {
	COLUMNS = 100, /* of a line, at most */
	NOUN_COLUMNS = 18,
};

/* ── Operations ──────────────────────────────────────────────────────────── */

/* "create[wR]": the verb and its marks. */
static void add_verb(struct text *text, const char *operation, const struct summary *summary)
{
	const struct slice noun = explain_noun(operation);
	const char *verb = operation[noun.len] == '.' ? operation + noun.len + 1 : "(any)";
	const bool root = (summary->traits & DOCKER_ROOT) != 0;
	const bool writes = (summary->traits & DOCKER_WRITE) != 0;
	const bool leaks = (summary->traits & DOCKER_LEAK) != 0;

	text_add_format(text, " %s", verb);
	if (root || writes || leaks || !summary->all) {
		text_add_format(text, "[%s%s%s%s]", writes ? "w" : "", leaks ? "s" : "",
		        summary->covered ? "c"
		        : root           ? "R"
		                         : "",
		        summary->all ? "" : "?");
	}
}

static void print_wrapped(struct slice noun, struct slice verbs)
{
	unsigned column = NOUN_COLUMNS;
	struct slice verb;

	printf("  %-*.*s", NOUN_COLUMNS, SLICE_FMT(noun));
	while (slice_next(&verbs, ' ', &verb)) {
		if (column + verb.len + 1 > COLUMNS) {
			printf("\n  %*s", NOUN_COLUMNS, "");
			column = NOUN_COLUMNS;
		}
		printf("%s%.*s", verb.len > 0 ? " " : "", SLICE_FMT(verb));
		column += (unsigned)verb.len + 1;
	}
	printf("\n");
}

/* One line for the noun of `first`, the first id with this noun; false: nothing is allowed. */
static bool print_noun(const struct policy *policy, unsigned first)
{
	char memory[4096];
	struct text verbs = text_over(memory, sizeof(memory));
	const struct slice noun = explain_noun(docker_operation_name(first));

	for (unsigned id = first; id < docker_id_count(); id++) {
		const char *operation = docker_operation_name(id);
		if (!slice_equal(explain_noun(operation), noun) || explain_is_repeated(id)) {
			continue;
		}
		const struct summary summary = explain_summarize(policy, operation);
		if (summary.some) {
			add_verb(&verbs, operation, &summary);
		}
	}
	if (verbs.len > 0) {
		print_wrapped(noun, text_slice(&verbs));
	}
	return verbs.len > 0;
}

/* ── Policies ────────────────────────────────────────────────────────────── */

/* Whether an operation with the section and the kind of method of `unknown` is denied, at least
 * for some paths. */
static bool denies_beside(const struct policy *policy, unsigned unknown)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (docker_id_section(id) == docker_id_section(unknown) &&
		        docker_id_is_read_method(id) == docker_id_is_read_method(unknown) &&
		        policy_grant_of(policy, id) != POLICY_ALWAYS) {
			return true;
		}
	}
	return false;
}

/* Whether a denied operation of this section can be spelled as an unknown request that is allowed.
 */
static bool is_open(const struct policy *policy, enum docker_section section)
{
	for (unsigned id = docker_endpoint_count; id < docker_id_count(); id++) {
		if (docker_id_section(id) == section && docker_id_is_unknown(id) &&
		        policy_allows_rest(policy, id) && denies_beside(policy, id)) {
			return true;
		}
	}
	return false;
}

/* "/containers, /images"; "/..." stands for paths outside all sections. */
static void list_open_sections(const struct policy *policy, struct text *text)
{
	for (unsigned section = 0; section <= DOCKER_SECTION_NONE; section++) {
		if (is_open(policy, (enum docker_section)section)) {
			text_add(text, text->len > 0 ? SLICE(", /") : SLICE("/"));
			text_add(text, section < DOCKER_SECTION_NONE
			                       ? docker_section_segment(section)
			                       : SLICE("..."));
		}
	}
}

static void warn_of_unknown(const struct policy *policy)
{
	char memory[1024];
	char where[512];
	struct text sections = text_over(memory, sizeof(memory));
	struct text place = text_over(where, sizeof(where));

	list_open_sections(policy, &sections);
	if (sections.len == 0) {
		return;
	}
	policy_add_place(policy_place(policy), &place);
	printf("  warning: %.*s: unknown requests are allowed in sections that have denied "
	       "operations:\n  %.*s\n"
	       "  A client can send a denied request in a spelling that is no operation, such as "
	       "POST\n  /containers/create/. The Engine responds with 404 to the spellings known "
	       "so far.%s\n",
	        SLICE_FMT(text_slice(&place)), SLICE_FMT(text_slice(&sections)),
	        policy_place(policy).file != NULL
	                ? " To deny\n  them, add - deny: [unknown] before the other rules."
	                : "");
}

static void warn_of_versions(const struct policy *policy)
{
	struct place place;
	unsigned at = 0;

	while (policy_next_versioned(policy, &at, &place)) {
		printf("  warning: %s:%u: versioned_path sees the API version, and each client "
		       "chooses the version.\n  A deny rule does not stop a client that sends "
		       "another version or none; an allow rule does not allow\n  such a client. "
		       "'path' ignores the version.\n",
		        place.file, place.line);
	}
}

/* The keys of each block, and what is left without one. */
static void print_blocks(const struct policy *policy, bool sees_host)
{
	char memory[8192];
	struct text text = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < INSPECT_BLOCK_COUNT; i++) {
		const struct constraints *block = policy_block(policy, (enum inspect_block)i);
		char name[32];
		struct text label = text_over(name, sizeof(name));
		if (block == NULL) {
			continue;
		}
		text_add_format(&label, "(%s)", inspect_block_name((enum inspect_block)i));
		text.len = 0;
		text_add(&text, SLICE(" "));
		constraints_add(block, true, &text);
		print_wrapped(text_slice(&label), text.len > 1 ? text_slice(&text) : SLICE(" {}"));
		text.len = 0;
		text_add(&text, SLICE(" by default: "));
		constraints_add(block, false, &text);
		print_wrapped(SLICE(""), text_slice(&text));
	}
	text.len = 0;
	text_add(&text, SLICE(" "));
	policy_add_root(policy, UINT_MAX, sees_host, &text);
	if (text.len > 1) {
		print_wrapped(SLICE("(root)"), text_slice(&text));
	}
	if (memmem(text.ptr, text.len, "buildkit.", 9) != NULL) {
		print_wrapped(SLICE(""), SLICE(" Nothing looks into BuildKit's sessions: all that "
		                               "a build does there "
		                               "is allowed."));
	}
}

/* The labels, and what the rules allow and the scope does not. */
static void print_scope(const struct policy *policy)
{
	char memory[8192];
	struct text text = text_over(memory, sizeof(memory));
	const char *separator = "; refuses ";
	unsigned more = 0;

	if (policy_scope(policy) == NULL) {
		return;
	}
	text_add(&text, SLICE(" "));
	scope_add(policy_scope(policy), &text);
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (!policy_scope_refuses(policy, id) || explain_is_repeated(id) ||
		        policy_grant_of(policy, id) == POLICY_NEVER) {
			continue;
		}
		if (slice_starts_with(slice_of(docker_operation_name(id)), SLICE("libpod."))) {
			more++;
			continue;
		}
		text_add_format(&text, "%s%s", separator, docker_operation_name(id));
		separator = ", ";
	}
	if (more > 0) {
		text_add_format(&text, "%s%u operations of podman's own API", separator, more);
	}
	print_wrapped(SLICE("(scope)"), text_slice(&text));
}

/* What is hidden in responses, and the operations by which it can be seen all the same. */
static void print_redaction(const struct policy *policy)
{
	const struct redact_wishes *wishes = policy_wishes(policy);
	char memory[8192];
	struct text text = text_over(memory, sizeof(memory));

	if (wishes == NULL) {
		return;
	}
	text_add(&text, SLICE(" "));
	redact_add_wishes(wishes, &text);
	print_wrapped(SLICE("(redacts)"), text_slice(&text));
	text.len = 0;
	text_add(&text, SLICE(" but cannot redact: "));
	const size_t empty = text.len;
	policy_add_unredacted(policy, &text);
	if (text.len > empty) {
		print_wrapped(SLICE(""), text_slice(&text));
	}
}

/* For which Engines it is written, if it says. */
static void print_policy_engines(const struct config *config, const struct policy *policy)
{
	char memory[8192];
	struct text names = text_over(memory, sizeof(memory));

	if (policy_engines(policy) != NULL) {
		engine_set_add(policy_engines(policy), &config->engines, &names);
		printf(", engines %.*s%s", SLICE_FMT(text_slice(&names)),
		        names.overflow ? "..." : "");
	}
}

static void print_policy(const struct config *config, const struct policy *policy)
{
	char memory[1024];
	struct text place = text_over(memory, sizeof(memory));
	bool any = false;

	policy_add_place(policy_place(policy), &place);
	printf("\npolicy %s (%.*s), mode %s", policy_name(policy), SLICE_FMT(text_slice(&place)),
	        policy_observes(policy) ? "observe" : "enforce");
	print_policy_engines(config, policy);
	printf(", allows\n");
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (!explain_noun_is_repeated(id)) {
			any = print_noun(policy, id) || any;
		}
	}
	if (!any) {
		printf("  nothing\n");
	}
	print_scope(policy);
	print_blocks(policy, config->host_root != NULL);
	print_redaction(policy);
	if (policy_costs(policy) != NULL) {
		print_wrapped(SLICE("(costs)"), slice_of(policy_costs(policy)));
	}
	warn_of_versions(policy);
	warn_of_unknown(policy);
}

/* A default policy that nobody chose is in use only if a listener has it. */
static bool is_in_use(const struct config *config, const struct policy *policy)
{
	const bool chosen =
	        config->policy_option == NULL || strcmp(config->policy_option, "default") != 0;
	bool used = chosen && policy == config->policy;

	const struct policy *in_use;
	for (unsigned i = 0; !used && (in_use = config_policy(config, i)) != NULL; i++) {
		used = in_use == policy;
	}
	const char *file = policy_place(policy).file;
	return used || (file != NULL && config->file != NULL && strcmp(file, config->file) == 0);
}

/* The policies of the file, and others that are in use. */
static void print_policies(const struct config *config)
{
	const struct policy *policy = policy_set_next(config->policies, NULL);

	for (; policy != NULL; policy = policy_set_next(config->policies, policy)) {
		if (is_in_use(config, policy)) {
			print_policy(config, policy);
		}
	}
}

/* What a listener presents, and what it asks for. */
static void print_tls(const struct config_listener *listener)
{
	const struct tls_settings *tls = &listener->tls;
	char memory[512];

	for (unsigned i = 0; listener->transport != NULL; i++) {
		struct text text = text_over(memory, sizeof(memory));
		if (!tls_describe(listener->transport, i, &text)) {
			break;
		}
		printf("  certificate %.*s (%s)\n", SLICE_FMT(text_slice(&text)),
		        tls->pairs[i].cert);
	}
	if (tls->ca != NULL) {
		printf("  clients %s present a certificate of %s%s%s\n",
		        tls->optional ? "may" : "must", tls->ca,
		        tls->crl != NULL ? ", which is not revoked by " : "",
		        tls->crl != NULL ? tls->crl : "");
	}
}

/* Where operators look, and what they need there. */
static void print_admin(const struct config_admin *admin)
{
	const struct config_listener *listener = &admin->listener;

	if (listener->address == NULL) {
		return;
	}
	printf("admin    %s", listener->address);
	if (address_path(listener->address) != NULL) {
		printf(", mode %04o", listener->mode);
	} else if (admin->key_count > 0 || listener->tls.ca != NULL) {
		printf(", %u key%s; /, /metrics, /health and /ready need none", admin->key_count,
		        admin->key_count == 1 ? "" : "s");
	} else {
		printf(", /, /metrics, /health and /ready alone: the rest needs 'key_sha256' or a "
		       "'client_ca'");
	}
	printf("\n");
	print_tls(listener);
}

void explain_print_address(const struct config_engine *engine)
{
	const char *host = strstr(engine->text, "://");
	const char *bracket = strrchr(engine->text, ']');
	const bool has_port =
	        host == NULL || strchr(bracket != NULL ? bracket : host + 3, ':') != NULL;

	printf("%s", engine->text);
	if (engine->path == NULL && !has_port) {
		printf(":%u", engine->port);
	}
}

/* "node-a: tcp://10.0.0.1:2375", "web: node-a, else node-b". */
static void print_engine(const struct config *config, unsigned number)
{
	const struct config_engine *engine = config_engine_at(config, number);
	const struct engine_row *row = config->has_engines ? &config->engines.list[number] : NULL;

	printf("engine   ");
	if (row != NULL) {
		printf("%s: ", engine->name);
	}
	for (unsigned i = 0; i < engine->member_count; i++) {
		printf("%s%s", i > 0 ? ", else " : "",
		        config_engine_at(config, engine->members[i])->name);
	}
	if (engine->member_count == 0) {
		explain_print_address(engine);
		printf("%s%s", engine->is_tls ? ", with TLS, verified by " : "",
		        engine->is_tls ? engine->tls.ca : "");
	}
	for (unsigned i = 0; row != NULL && i < row->server_count; i++) {
		printf("%s%s", i == 0 ? ", named by TLS clients as " : ", ", row->servers[i]);
	}
	printf("\n");
}

static void print_engines(const struct config *config)
{
	if (config->has_engines && !config->engines.has_default) {
		printf("engine   none by default: a request names one, or its listener does\n");
	} else {
		print_engine(config, ENGINE_DEFAULT);
	}
	for (unsigned i = 1; i < config->engine_count; i++) {
		print_engine(config, i);
	}
}

int explain_configuration(const struct config *config)
{
	print_engines(config);
	if (config->host_root != NULL) {
		printf("host     its files are seen in %s\n", config->host_root);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		printf("listener %s%s%s, policy %s", listener->address,
		        listener->name != NULL ? ", name " : "",
		        listener->name != NULL ? listener->name : "",
		        policy_name(listener->policy));
		if (listener->engine != ENGINE_DEFAULT) {
			printf(", engine %s",
			        listener->engine == ENGINE_NONE
			                ? "none"
			                : config_engine_at(config, listener->engine)->name);
		}
		if (address_path(listener->address) != NULL) {
			printf(", mode %04o", listener->mode);
		}
		printf("%s\n", listener->browsers ? ", browsers" : "");
		print_tls(listener);
	}
	print_admin(&config->admin);
	explain_list_limits(config);
	explain_list_clients(config);
	print_policies(config);
	explain_tabulate_clients(config);
	printf("%s[w] changes something   [s] may show secrets or files   [R] enough to become "
	       "root "
	       "on the host\n"
	       "[c] its body is constrained by a block   (root): enough to become root, and no "
	       "block constrains it\n"
	       "[?] only for some paths or methods, possibly for none\n",
	        config->clients.count > 0 ? "" : "\n");
	return 0;
}
