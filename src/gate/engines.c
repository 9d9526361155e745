/* SPDX-License-Identifier: MIT */
/* Which Engine a request means, and who may use it. */
#include "gate/look.h"

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
