/* SPDX-License-Identifier: MIT */
/* Which Engine a request means, and who may use it. */
#include "gate/look.h"

#include "base/nearest.h"

/* ── The Engine ──────────────────────────────────────────────────────────── */

/* By the name in TLS, else that of the listener. */
static unsigned unnamed(const struct gate_config *config, const struct gate_question *question)
{
	const unsigned engine =
	        question->server_name.len == 0
	                ? ENGINE_NONE
	                : engines_find_server(config->engines, question->server_name);

	return engine != ENGINE_NONE ? engine : config->engine;
}

static bool is_read(struct slice method)
{
	return slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"));
}

bool gate_choose_engine(const struct gate_config *config, const struct gate_question *question,
        struct gate_decision *decision, struct slice *ret_path)
{
	struct slice name;

	switch (engines_split(decision->head->path, &name, ret_path)) {
	case ENGINE_PATH_PLAIN:
		decision->engine = unnamed(config, question);
		return true;
	case ENGINE_PATH_NAMED:
		decision->by_path = true;
		decision->engine = engines_find(config->engines, name);
		return true;
	case ENGINE_PATH_LIST:
		decision->engine = ENGINE_ANY;
		if (is_read(decision->head->method)) {
			return true;
		}
		gate_respond(
		        decision, OUTCOME_MALFORMED, "GET and HEAD are the methods of /engines");
		return false;
	case ENGINE_PATH_AMBIGUOUS:
	default:
		gate_respond(decision, OUTCOME_MALFORMED,
		        "the path is spelt so that it might name an Engine: write /engines/NAME/ "
		        "with a NAME of letters, digits, '-', '_' and '.', and without escapes");
		return false;
	}
}

/* ── Who may use it ──────────────────────────────────────────────────────── */

/*
 * Whoever has no setting for it may use the listener's own Engine alone, so that another Engine
 * opens nothing to those who were there before.
 */
static bool may_use(const struct gate_config *config, const struct client *client,
        const struct policy *policy, unsigned engine)
{
	const struct engine_set *of_client = client == NULL ? NULL : client->engines;
	const struct engine_set *of_policy = policy_engines(policy);

	if (of_client == NULL && of_policy == NULL) {
		return engine == config->engine;
	}
	return (of_client == NULL || engine_set_has(of_client, engine)) &&
	       (of_policy == NULL || engine_set_has(of_policy, engine));
}

static const struct policy *policy_of(const struct gate_config *config, const struct client *client)
{
	return client == NULL || client->policy == NULL ? config->policy : client->policy;
}

/*
 * Whose request it is, though no entry of `clients` is for the Engine: of the first that is for
 * another one. It counts for that client, and not for a stranger. False: it needs more.
 */
static bool attribute(struct gate_decision *decision)
{
	struct sender sender = decision->sender;
	unsigned from = 0;

	if (decision->client != NULL || decision->clients == NULL) {
		return true;
	}
	sender.engine = ENGINE_ANY;
	if (clients_find_from(decision->clients, &sender, &from, &decision->client) ==
	        IDENTIFIED_UNKNOWN) {
		decision->action = GATE_NEED_CALLER;
		return false;
	}
	return true;
}

bool gate_permit(const struct gate_config *config, struct gate_decision *decision)
{
	const unsigned engine = decision->engine;

	if (engine != ENGINE_NONE &&
	        may_use(config, decision->client, policy_of(config, decision->client), engine)) {
		return true;
	}
	gate_deny_engine(decision);
	return false;
}

void gate_deny_engine(struct gate_decision *decision)
{
	if (!attribute(decision)) {
		return;
	}
	if (decision->engine == ENGINE_NONE && !decision->by_path) {
		gate_respond(decision, OUTCOME_ENGINE_UNNAMED, "the request names no Engine");
		return;
	}
	gate_respond(decision, OUTCOME_ENGINE_DENIED,
	        decision->engine == ENGINE_NONE
	                ? "there is no Engine of this name"
	                : "neither 'engines' of the client nor of the policy has the Engine");
}

/* ── The list of them ────────────────────────────────────────────────────── */

/* By the entry that would hold for each: the first that holds and is for it. */
static void add_usable(const struct gate_config *config, const struct client *client,
        uint64_t *settled, struct gate_scratch *scratch)
{
	const struct policy *policy = policy_of(config, client);
	const struct engines *engines = config->engines;

	for (unsigned i = engines->has_default ? 0 : 1; i < engines->count; i++) {
		const uint64_t bit = UINT64_C(1) << (i % 64);
		const bool is_for = client == NULL || client->engines == NULL ||
		                    engine_set_has(client->engines, i);
		if (!is_for || (settled[i / 64] & bit) != 0) {
			continue;
		}
		settled[i / 64] |= bit;
		if (may_use(config, client, policy, i)) {
			scratch->usable[i / 64] |= bit;
		}
	}
}

bool gate_list_engines(const struct gate_config *config, struct gate_scratch *scratch,
        struct gate_decision *decision)
{
	const struct clients *clients = config->clients;
	const struct client *client = NULL;
	uint64_t settled[ENGINE_WORDS_MAX] = {0};
	/* Without a search for it: then it is that client's list. */
	const bool is_given = decision->client != NULL && decision->sender.caller == NULL;
	enum identified found = IDENTIFIED_NOBODY;
	bool known = is_given;
	unsigned from = 0;

	memset(scratch->usable, 0, sizeof(scratch->usable));
	if (is_given) {
		add_usable(config, decision->client, settled, scratch);
	}
	while (clients != NULL && !is_given &&
	        (found = clients_find_from(clients, &decision->sender, &from, &client)) ==
	                IDENTIFIED_CLIENT) {
		add_usable(config, client, settled, scratch);
		known = true;
	}
	if (found == IDENTIFIED_UNKNOWN) {
		decision->action = GATE_NEED_CALLER;
		return false;
	}
	/* The listener decides about who is no client. */
	if (found == IDENTIFIED_NOBODY && !known) {
		add_usable(config, NULL, settled, scratch);
	}
	scratch->usable_set = (struct engine_set){
	        .words = engine_set_words(config->engines), .bits = scratch->usable};
	decision->usable = &scratch->usable_set;
	return true;
}

/* ── Saying it ───────────────────────────────────────────────────────────── */

/* Where the Engine is missing. */
struct lack {
	const char *engine;
	const char *own; /* of the listener; NULL: it has none */
	const struct client *client;
	const struct policy *policy;
	const struct engine_set *of_client; /* which does not have it; NULL: it is not that */
	const struct engine_set *of_policy;
};

static struct lack find_lack(const struct gate_config *config, const struct gate_decision *decision)
{
	const struct engine_row *rows = config->engines->list;
	struct lack lack = {
	        .engine = rows[decision->engine].name,
	        .own = config->engine == ENGINE_NONE ? NULL : rows[config->engine].name,
	        .client = decision->client,
	        .policy = policy_of(config, decision->client),
	};

	lack.of_client = lack.client == NULL ? NULL : lack.client->engines;
	lack.of_policy = policy_engines(lack.policy);
	if (lack.of_client != NULL && engine_set_has(lack.of_client, decision->engine)) {
		lack.of_client = NULL;
	}
	if (lack.of_policy != NULL && engine_set_has(lack.of_policy, decision->engine)) {
		lack.of_policy = NULL;
	}
	return lack;
}

/* The name in the path, of an Engine that is not there. */
static struct slice name_in(const struct gate_decision *decision)
{
	struct slice name = SLICE("");
	struct slice rest;

	(void)engines_split(decision->head->path, &name, &rest);
	return name;
}

static struct slice nearest_name(const struct engines *engines, struct slice name)
{
	struct nearest nearest = nearest_to(name);

	for (unsigned i = engines->has_default ? 0 : 1; i < engines->count; i++) {
		nearest_try(&nearest, slice_of(engines->list[i].name));
	}
	return nearest.best;
}

/* Docker's client opens the sessions of a build by requests without the path of DOCKER_HOST. */
static bool is_of_build(const struct gate_decision *decision)
{
	return decision->request != NULL &&
	       slice_starts_with(
	               slice_of(docker_operation_name(decision->request->id)), SLICE("buildkit."));
}

#define OF_BUILD                                                                                   \
	"docker leaves /engines/NAME out for BuildKit: use DOCKER_BUILDKIT=0, a TLS name "         \
	"('sni'), "                                                                                \
	"or a listener with 'engine'"

void gate_add_unnamed(const struct gate_decision *decision, struct text *text)
{
	if (is_of_build(decision)) {
		text_add(text, SLICE("the request names no Engine: " OF_BUILD));
	} else {
		text_add(text, slice_of(outcome_text(OUTCOME_ENGINE_UNNAMED)));
	}
}

static void add_lack(const struct lack *lack, struct text *text)
{
	const char *policy = policy_name(lack->policy);

	if (lack->of_client != NULL && lack->of_policy != NULL) {
		text_add_format(text,
		        "neither 'engines' of client '%s' nor of policy '%s' has the Engine '%s'",
		        lack->client->name, policy, lack->engine);
	} else if (lack->of_client != NULL) {
		text_add_format(text, "'engines' of client '%s' does not have the Engine '%s'",
		        lack->client->name, lack->engine);
	} else if (lack->of_policy != NULL) {
		text_add_format(text, "'engines' of policy '%s' does not have the Engine '%s'",
		        policy, lack->engine);
	} else if (lack->client != NULL) {
		text_add_format(text,
		        "neither client '%s' nor policy '%s' has 'engines', and the Engine '%s' is "
		        "not that of the listener",
		        lack->client->name, policy, lack->engine);
	} else {
		text_add_format(text,
		        "policy '%s' has no 'engines', and the Engine '%s' is not that of the "
		        "listener",
		        policy, lack->engine);
	}
}

void gate_add_engine_reason(
        const struct gate_config *config, const struct gate_decision *decision, struct text *text)
{
	if (decision->outcome == OUTCOME_ENGINE_UNNAMED) {
		text_add(text, SLICE("the request names no Engine"));
	} else if (decision->engine == ENGINE_NONE) {
		const struct slice name = name_in(decision);
		const struct slice nearest = nearest_name(config->engines, name);
		text_add_format(text, "there is no Engine '%s'%s%.*s%s", text_show(name).text,
		        nearest.len > 0 ? "; did you mean '" : "", SLICE_FMT(nearest),
		        nearest.len > 0 ? "'?" : "");
	} else {
		const struct lack lack = find_lack(config, decision);
		add_lack(&lack, text);
	}
}

/* "client 'a' (proxy.yaml:4)" */
static void add_holder(const char *kind, const char *name, struct place place, struct text *text)
{
	text_add_format(text, "%s '%s' (", kind, name);
	policy_add_place(place, text);
	text_add(text, SLICE(")"));
}

static void add_client_holder(const struct lack *lack, struct text *text)
{
	add_holder("client", lack->client->name, lack->client->place, text);
}

static void add_policy_holder(const struct lack *lack, struct text *text)
{
	add_holder("policy", policy_name(lack->policy), policy_place(lack->policy), text);
}

/* Of whom neither the client nor the policy has 'engines'. */
static void advise_first(const struct lack *lack, struct text *text)
{
	if (lack->client == NULL && policy_place(lack->policy).file == NULL) {
		text_add_format(
		        text, "add an entry with 'engines: [%s]' to 'clients'", lack->engine);
		return;
	}
	text_add_format(text, "add 'engines: [%s%s%s]' to ", lack->own != NULL ? lack->own : "",
	        lack->own != NULL ? ", " : "", lack->engine);
	if (lack->client != NULL) {
		add_client_holder(lack, text);
	} else {
		add_policy_holder(lack, text);
	}
}

void gate_advise_engine(
        const struct gate_config *config, const struct gate_decision *decision, struct text *text)
{
	if (decision->outcome == OUTCOME_ENGINE_UNNAMED) {
		text_add(text, is_of_build(decision)
		                       ? SLICE(OF_BUILD)
		                       : SLICE("write /engines/NAME in front of the path, or give "
		                               "the listener an 'engine'"));
		return;
	}
	if (decision->engine == ENGINE_NONE) {
		return;
	}
	const struct lack lack = find_lack(config, decision);
	if (lack.of_client == NULL && lack.of_policy == NULL) {
		advise_first(&lack, text);
		return;
	}
	text_add_format(text, "add %s to 'engines' of ", lack.engine);
	if (lack.of_client != NULL) {
		add_client_holder(&lack, text);
	}
	if (lack.of_policy != NULL) {
		text_add(text, lack.of_client != NULL ? SLICE(" and of ") : SLICE(""));
		add_policy_holder(&lack, text);
	}
}

/* The setting as it would be; `set` NULL: it is not there yet. */
static void add_setting(const struct gate_config *config, const struct lack *lack,
        const struct engine_set *set, struct text *yaml)
{
	text_add(yaml, SLICE("\nengines: ["));
	const size_t before = yaml->len;
	if (set != NULL) {
		engine_set_add(set, config->engines, yaml);
	} else if (lack->own != NULL) {
		text_add(yaml, slice_of(lack->own));
	}
	text_add_format(yaml, "%s%s]", yaml->len > before ? ", " : "", lack->engine);
}

void gate_add_engine_remedy(
        const struct gate_config *config, const struct gate_decision *decision, struct text *yaml)
{
	if (decision->outcome == OUTCOME_ENGINE_UNNAMED || decision->engine == ENGINE_NONE) {
		return;
	}
	const struct lack lack = find_lack(config, decision);
	const bool is_first = lack.of_client == NULL && lack.of_policy == NULL;
	const bool at_client = lack.of_client != NULL || (is_first && lack.client != NULL);
	const bool at_policy = lack.of_policy != NULL || (is_first && lack.client == NULL);

	if (at_client) {
		text_add(yaml, SLICE("# "));
		add_client_holder(&lack, yaml);
		add_setting(config, &lack, lack.of_client, yaml);
	}
	if (at_policy && policy_place(lack.policy).file != NULL) {
		text_add(yaml, at_client ? SLICE("\n# ") : SLICE("# "));
		add_policy_holder(&lack, yaml);
		add_setting(config, &lack, lack.of_policy, yaml);
	}
}
