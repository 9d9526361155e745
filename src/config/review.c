/* SPDX-License-Identifier: MIT */
/*
 * What can be read and is hardly meant so: each is a warning, at the start and by `check`.
 */
#include "address/address.h"
#include "base/hash.h"
#include "config/options.h"
#include "inspect/inspect.h"

#include <stdio.h>
#include <sys/stat.h>

/* ── Sockets ─────────────────────────────────────────────────────────────── */

/* Who may write to the file may connect. */
static void review_modes(struct config *config)
{
	enum { OTHERS_WRITE = 0002 };

	for (unsigned i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		if (address_path(listener->address) != NULL &&
		        (listener->mode & OTHERS_WRITE) != 0) {
			config_warn(config,
			        "%s: mode %04o: every user who reaches the file may connect; 0660 "
			        "admits only its group",
			        listener->address, listener->mode);
		}
	}
}

/* ── Policies ────────────────────────────────────────────────────────────── */

enum { IDLE_RULES_MAX = 8 }; /* warnings about rules of one policy */

struct idle_rules {
	struct config *config;
	unsigned count;
};

static void warn_of_rule(void *context, const char *rule, struct place place, const char *before)
{
	struct idle_rules *idle = context;

	if (idle->count++ >= IDLE_RULES_MAX) {
		return;
	}
	if (before != NULL) {
		config_warn(idle->config, "%.128s:%u: '%s' never decides: '%s' comes before it",
		        place.file, place.line, rule, before);
	} else {
		config_warn(idle->config,
		        "%.128s:%u: '%s' never decides: earlier rules decide every request that "
		        "it fits",
		        place.file, place.line, rule);
	}
}

static void review_rules(struct config *config, const struct policy *policy)
{
	struct idle_rules idle = {.config = config};

	policy_list_idle_rules(policy, warn_of_rule, &idle);
	if (idle.count > IDLE_RULES_MAX) {
		config_warn(config, "policy '%s' has %u more rules that never decide",
		        policy_name(policy), idle.count - IDLE_RULES_MAX);
	}
}

static bool is_of_file(const struct config *config, const struct policy *policy)
{
	const char *file = policy_place(policy).file;

	return file != NULL && config->file != NULL && strcmp(file, config->file) == 0;
}

static void review_policies(struct config *config)
{
	const struct policy *policy = NULL;

	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		policy_use(policy);
	}
	while ((policy = policy_set_next(config->policies, policy)) != NULL) {
		if (!is_of_file(config, policy)) {
			continue;
		}
		if (!policy_is_used(policy)) {
			config_warn(config,
			        "%.128s:%u: policy '%s' is not used by any listener or client",
			        config->file, policy_place(policy).line, policy_name(policy));
		}
		review_rules(config, policy);
	}
}

/* ── Sources of binds ────────────────────────────────────────────────────── */

/* Whether a policy in use has such a block `create`. */
static bool any_creates(const struct config *config, bool (*is_such)(const struct constraints *))
{
	const struct policy *policy;

	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		const struct constraints *block = policy_block(policy, INSPECT_CREATE);
		if (block != NULL && is_such(block)) {
			return true;
		}
	}
	return false;
}

static void review_workspace(struct config *config)
{
	if (config->workspace != NULL && !any_creates(config, constraints_use_workspace)) {
		config_warn(config,
		        "%s=%.128s does not count: no policy in use has $WORKSPACE in "
		        "'create.bind_sources'",
		        config->workspace_option, config->workspace);
	}
}

static void review_host_root(struct config *config)
{
	const struct place place = config->host_root_place;
	char memory[160];
	struct text where = text_over(memory, sizeof(memory));

	if (config->host_root == NULL || any_creates(config, constraints_list_paths)) {
		return;
	}
	if (place.file != NULL) {
		text_add_format(&where, "%.128s:%u: ", place.file, place.line);
	}
	config_warn(config,
	        "%.*s%s=%.128s does not count: no policy in use lists paths in "
	        "'create.bind_sources', and links are followed in these alone",
	        SLICE_FMT(text_slice(&where)), config->host_root_option,
	        text_show(slice_of(config->host_root)).text);
}

/* ── Engines ─────────────────────────────────────────────────────────────── */

/* Names in TLS where nothing speaks it. */
static void review_servers(struct config *config)
{
	bool has_tls = false;

	for (unsigned i = 0; i < config->listener_count; i++) {
		has_tls = has_tls || config_listener_is_tls(&config->listeners[i]);
	}
	if (config->engines.has_servers && !has_tls) {
		config_warn(config, "'sni' of 'engines' does not count: no listener speaks TLS");
	}
}

static void mark(uint64_t *used, unsigned engine)
{
	if (engine <= ENGINES_MAX) {
		used[engine / 64] |= UINT64_C(1) << (engine % 64);
	}
}

static void mark_set(uint64_t *used, const struct engine_set *set, unsigned count)
{
	for (unsigned i = 0; set != NULL && i < count; i++) {
		if (engine_set_has(set, i)) {
			mark(used, i);
		}
	}
}

/* Those that somebody may use, by a listener, a policy or a client, and the members of groups. */
static void mark_used(const struct config *config, uint64_t *used)
{
	const unsigned count = config->engine_count;
	const struct policy *policy;

	for (unsigned i = 0; i < config->listener_count; i++) {
		mark(used, config->listeners[i].engine);
	}
	for (unsigned i = 0; (policy = config_policy(config, i)) != NULL; i++) {
		mark_set(used, policy_engines(policy), count);
	}
	for (unsigned i = 0; i < config->clients.count; i++) {
		mark_set(used, config->clients.list[i].engines, count);
	}
	for (unsigned i = 1; i < count; i++) {
		const struct config_engine *group = config_engine_at(config, i);
		for (unsigned j = 0; j < group->member_count; j++) {
			mark(used, group->members[j]);
		}
	}
}

static void review_engines(struct config *config)
{
	enum { SHOWN_MAX = 8 };
	uint64_t used[ENGINE_WORDS_MAX] = {0};
	unsigned unused = 0;

	mark_used(config, used);
	for (unsigned i = 1; i < config->engine_count; i++) {
		const struct config_engine *engine = config_engine_at(config, i);
		if ((used[i / 64] >> (i % 64) & 1) != 0) {
			continue;
		}
		if (unused++ < SHOWN_MAX) {
			config_warn(config,
			        "%.128s:%u: nobody may use the Engine '%s': name it in 'engines' "
			        "of a policy or client, or as 'engine' of a listener",
			        engine->place.file, engine->place.line, engine->name);
		}
	}
	if (unused > SHOWN_MAX) {
		config_warn(config, "nobody may use %u more Engines", unused - SHOWN_MAX);
	}
}

static bool is_same_engine(const struct config_engine *a, const struct config_engine *b)
{
	return config_same_address(a, b) && a->is_tls == b->is_tls &&
	       (!a->is_tls || strcmp(a->tls.name, b->tls.name) == 0);
}

/* Which has an address: it is no group, and given. */
static bool is_placed(const struct config_engine *engine)
{
	return engine->path != NULL || engine->host != NULL;
}

/* What compares addresses: 4,096 of them are eight million pairs. */
static uint32_t hash_of_place(const struct config_engine *engine)
{
	const char *place = engine->path != NULL ? engine->path : engine->host;

	return place == NULL ? 0 : hash_bytes(HASH_START ^ engine->port, slice_of(place));
}

/* The first Engine in front of `number` that is at the same address; NULL: none is. */
static const struct config_engine *find_twin(
        const struct config *config, const uint32_t *hashes, unsigned number)
{
	const struct config_engine *engine = config_engine_at(config, number);

	for (unsigned i = 0; is_placed(engine) && i < number; i++) {
		const struct config_engine *other = config_engine_at(config, i);
		if (hashes[i] == hashes[number] && is_placed(other) &&
		        is_same_engine(engine, other)) {
			return other;
		}
	}
	return NULL;
}

/* A slip of copying, mostly: whoever names one of them means another host. */
static void review_twins(struct config *config)
{
	enum { SHOWN_MAX = 8 };
	uint32_t hashes[ENGINES_MAX + 1];
	unsigned count = 0;

	for (unsigned i = 0; i < config->engine_count; i++) {
		hashes[i] = hash_of_place(config_engine_at(config, i));
		const struct config_engine *twin = find_twin(config, hashes, i);
		if (twin == NULL) {
			continue;
		}
		const struct config_engine *engine = config_engine_at(config, i);
		if (count++ < SHOWN_MAX) {
			config_warn(config, "%.128s:%u: '%s' and '%s' are one Engine, at %s",
			        engine->place.file, engine->place.line, twin->name, engine->name,
			        text_show(slice_of(engine->text)).text);
		}
	}
	if (count > SHOWN_MAX) {
		config_warn(config, "%u more Engines are at the address of another one",
		        count - SHOWN_MAX);
	}
}

#define USUAL_SOCKET "/var/run/docker.sock"

static bool is_listed(const struct config *config, const char *path)
{
	bool is = false;

	for (unsigned i = 1; !is && i < config->engine_count; i++) {
		const struct config_engine *engine = config_engine_at(config, i);
		is = engine->path != NULL && config_same_place(engine->text, path);
	}
	return is;
}

/* Who writes the first `engines` hardly means to take away the Engine that was there. */
static void review_default(struct config *config)
{
	struct stat socket;

	if (config->engines.has_default || stat(USUAL_SOCKET, &socket) < 0 ||
	        !S_ISSOCK(socket.st_mode) || is_listed(config, "unix://" USUAL_SOCKET)) {
		return;
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].engine == ENGINE_NONE) {
			config_warn(config,
			        "%s: requests that name no Engine are refused: beside "
			        "'engines', " USUAL_SOCKET
			        " is no default; to keep it write 'upstream: unix://" USUAL_SOCKET
			        "'",
			        config->listeners[i].address);
			return;
		}
	}
}

/* ── Switches ────────────────────────────────────────────────────────────── */

static bool allows_any(const struct policy *policy, const struct switch_row *row)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		const char *name = docker_operation_name(id);
		for (unsigned i = 0; i < SWITCHES_OPERATIONS_MAX && row->operations[i] != NULL;
		        i++) {
			if (strcmp(row->operations[i], name) == 0 &&
			        policy_grant_of(policy, id) != POLICY_NEVER) {
				return true;
			}
		}
	}
	return false;
}

/* ALLOW_START=0 beside CONTAINERS=1 and POST=1: nothing is closed, as with those it comes from. */
static void review_switches(struct config *config)
{
	char memory[256];
	struct text names = text_over(memory, sizeof(memory));

	for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
		const struct switch_row *row = switches_row(number);
		if (config->switches.values[number] == SWITCH_OFF && row->effects == SWITCH_OPENS &&
		        allows_any(config->policy, row)) {
			text_add_format(&names, "%s%s=0", names.len > 0 ? ", " : "", row->variable);
		}
	}
	if (names.len > 0) {
		config_warn(config, "%.*s: this closes nothing: other switches allow it",
		        SLICE_FMT(text_slice(&names)));
	}
}

void config_review(struct config *config)
{
	if (config->verb != CONFIG_RUN && config->verb != CONFIG_CHECK) {
		return;
	}
	review_modes(config);
	review_policies(config);
	review_workspace(config);
	review_host_root(config);
	config_review_clients(config);
	if (config->has_engines) {
		review_servers(config);
		review_engines(config);
		review_twins(config);
		review_default(config);
	}
	if (config->switch_name != NULL) {
		review_switches(config);
	}
}
