/* SPDX-License-Identifier: MIT */
/*
 * The policy of listeners for which the file names none: POLICY, one or several, and what
 * ALLOW adds to it.
 */
#include "config/options.h"

#include <errno.h>
#include <stdio.h>

enum {
	NAME_MAX_LEN = 255,   /* bytes of the names in POLICY */
	OPERATIONS_MAX = 256, /* in ALLOW */
	RULE_SHOWN_MAX = 120, /* bytes of ALLOW in the name of its rule */
};

/* ── Faults ──────────────────────────────────────────────────────────────── */

/* A fault that is in no line of a file begins with the option. */
static int blame(struct reader *reader, const char *option)
{
	char sentence[FAULT_MAX];

	(void)snprintf(sentence, sizeof(sentence), "%s", reader->error);
	return fault_set(reader->error, NOWHERE, "%s: %s", option, sentence);
}

/* ── One or several ──────────────────────────────────────────────────────── */

static bool has_name(struct slice names, struct slice wanted)
{
	struct slice name;

	while (slice_next(&names, ',', &name)) {
		if (slice_equal(slice_trim(name), wanted)) {
			return true;
		}
	}
	return false;
}

/* The names without spaces around them: what the united policy is called. */
static int join_names(struct slice names, struct place place, struct text *text, char *error)
{
	struct slice name;

	while (slice_next(&names, ',', &name)) {
		name = slice_trim(name);
		if (name.len == 0) {
			return fault_set(error, place,
			        "no name stands in front of or behind one of the commas");
		}
		text_add_format(text, "%s", text->len > 0 ? "," : "");
		text_add(text, name);
	}
	return text->overflow
	               ? fault_set(error, place, "the names of policies are longer than %d bytes",
	                         NAME_MAX_LEN)
	               : 0;
}

int config_find_policy(
        struct reader *reader, struct slice names, struct place place, struct policy **ret_policy)
{
	struct policy_set *set = reader->config->policies;
	char memory[NAME_MAX_LEN];
	struct text text = text_over(memory, sizeof(memory));

	/* What allows everything needs no others, and has a name that is warned of. */
	if (has_name(names, SLICE("open"))) {
		names = SLICE("open");
	}
	if (memchr(names.ptr, ',', names.len) == NULL) {
		return policy_set_find(set, names, place, ret_policy, reader->error) < 0
		               ? -EINVAL
		               : policy_compile(*ret_policy, reader->error);
	}
	if (join_names(names, place, &text, reader->error) < 0 ||
	        policy_unite(set, text_slice(&text), text_slice(&text), place, ret_policy,
	                reader->error) < 0) {
		return -EINVAL;
	}
	return policy_compile(*ret_policy, reader->error);
}

/* ── ALLOW ───────────────────────────────────────────────────────────────── */

/* The rule that ALLOW is, in front of those of `policy`. */
static int add_operations(struct reader *reader, struct policy *policy)
{
	struct config *config = reader->config;
	struct slice rest = slice_of(config->allow);
	const char *operations[OPERATIONS_MAX];
	struct policy_match match = {.operations = operations};
	char text[RULE_SHOWN_MAX + sizeof("--allow=...")];
	struct slice name;

	while (slice_next(&rest, ',', &name)) {
		if (match.operation_count == OPERATIONS_MAX) {
			return fault_set(reader->error, NOWHERE, "%s: there are more than %d names",
			        config->allow_option, OPERATIONS_MAX);
		}
		operations[match.operation_count++] = arena_copy(&config->arena, slice_trim(name));
	}
	if (arena_check(&config->arena, reader->error) < 0) {
		return -EINVAL;
	}
	(void)snprintf(text, sizeof(text), "%s=%.*s%s", config->allow_option, RULE_SHOWN_MAX,
	        config->allow, strlen(config->allow) > RULE_SHOWN_MAX ? "..." : "");
	return policy_add_rule(policy, true, &match, text, NOWHERE, reader->error) < 0
	               ? blame(reader, config->allow_option)
	               : 0;
}

/* To go on after "To allow it, ". */
static void advise(const void *context, const struct docker_request *request, struct text *text)
{
	const char *option = context;
	const struct docker_endpoint *endpoint = docker_endpoint(request->id);
	const bool root = endpoint != NULL && (endpoint->traits & DOCKER_ROOT) != 0;

	if (docker_id_is_unknown(request->id)) {
		text_add_format(text, "write a rule for its path into a file for CONFIG");
	} else {
		text_add_format(text, "add %s to %s%s", docker_operation_name(request->id), option,
		        root ? "; that is enough to become root on the host" : "");
	}
}

static bool allows_the_same(const struct policy *a, const struct policy *b)
{
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (policy_grant_of(a, id) != policy_grant_of(b, id)) {
			return false;
		}
	}
	return true;
}

static int warn_of_everything(struct reader *reader, const struct policy *policy)
{
	struct config *config = reader->config;
	struct policy *open = NULL;

	if (config_find_policy(reader, SLICE("open"), NOWHERE, &open) < 0) {
		return -EINVAL;
	}
	if (allows_the_same(policy, open)) {
		config_warn(config,
		        "%s=%.128s: every client may do everything and is root on the host",
		        config->allow_option, config->allow);
	}
	return 0;
}

/* A policy of the rule, and of what `base` has; NULL: of the rule alone. */
static int unite_with_rule(
        struct reader *reader, const struct policy *base, struct policy **ret_policy)
{
	struct config *config = reader->config;
	char memory[NAME_MAX_LEN + sizeof("+ALLOW")];
	struct text name = text_over(memory, sizeof(memory));
	const struct slice members =
	        base != NULL ? slice_of(policy_name(base)) : (struct slice){NULL, 0};

	text_add_format(&name, "%.*s%sALLOW", SLICE_FMT(members), base != NULL ? "+" : "");
	if (policy_unite(config->policies, text_slice(&name), members, config->policy_place,
	            ret_policy, reader->error) < 0 ||
	        add_operations(reader, *ret_policy) < 0) {
		return -EINVAL;
	}
	policy_set_advisor(*ret_policy, config->switch_name != NULL ? switches_advise : advise,
	        config->switch_name != NULL ? (const void *)&config->switches
	                                    : config->allow_option);
	return policy_compile(*ret_policy, reader->error);
}

/* Who names operations and no policy wants these alone. */
static int extend_by_operations(struct reader *reader, struct policy **policy)
{
	struct config *config = reader->config;
	const bool alone =
	        config->policy_option != NULL && strcmp(config->policy_option, "default") == 0;
	const struct policy *base = alone ? NULL : *policy;
	struct policy *extended = NULL;

	if (unite_with_rule(reader, base, &extended) < 0) {
		return -EINVAL;
	}
	if (base != NULL && allows_the_same(base, extended)) {
		config_warn(config, "%s=%.128s adds nothing: policy '%s' allows it already",
		        config->allow_option, config->allow, policy_name(base));
		return 0;
	}
	*policy = extended;
	return warn_of_everything(reader, extended);
}

/* ── Listeners ───────────────────────────────────────────────────────────── */

static bool every_listener_has_a_policy(const struct config *config)
{
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].policy == NULL) {
			return false;
		}
	}
	return true;
}

static void warn_without_use(struct config *config, const char *option, const char *value)
{
	config_warn(config, "%s=%.64s does not count: every listener in %.128s names its policy",
	        option, value, config->file);
}

/* Warn: a policy of the environment does not open what the file closes. */
static void warn_of_policy_without_use(struct config *config)
{
	const bool is_given =
	        config->policy_option != NULL && strcmp(config->policy_option, "default") != 0;

	if ((config->verb != CONFIG_RUN && config->verb != CONFIG_CHECK) ||
	        !every_listener_has_a_policy(config)) {
		return;
	}
	if (is_given) {
		warn_without_use(config, config->policy_option, config->policy_name);
	}
	if (config->allow != NULL) {
		warn_without_use(config, config->allow_option, config->allow);
	}
}

static void use_policy(struct config *config, const struct policy *policy)
{
	config->policy = policy;
	for (unsigned i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].policy == NULL || config->verb == CONFIG_LEARN) {
			config->listeners[i].policy = policy;
		}
	}
	for (unsigned i = 0; i < config->clients.count && config->verb == CONFIG_LEARN; i++) {
		config->client_list[i].policy = NULL; /* that of the listener */
	}
}

/* ── The whole ───────────────────────────────────────────────────────────── */

/* What holds where nothing is named. Who names operations wants these. */
static void name_default(struct config *config)
{
	const bool closed = config->file != NULL || config->allow != NULL;

	if (config->policy_name == NULL) {
		config->policy_name = closed ? "deny" : "open";
		config->policy_option = "default";
	}
	if (config->verb == CONFIG_LEARN) {
		config->policy_name = "open"; /* it has to see what would be asked next */
	}
}

static int build_base(struct reader *reader, struct policy **ret_policy)
{
	struct config *config = reader->config;

	if (config->switch_name != NULL && config->verb != CONFIG_LEARN) {
		return switches_build(
		        config->policies, &config->switches, ret_policy, reader->error);
	}
	name_default(config);
	if (config->verb == CONFIG_LEARN) {
		return policy_learning(config->policies, ret_policy, reader->error) < 0 ||
		                       policy_compile(*ret_policy, reader->error) < 0
		               ? -EINVAL
		               : 0;
	}
	if (config_find_policy(
	            reader, slice_of(config->policy_name), config->policy_place, ret_policy) == 0) {
		return 0;
	}
	return config->policy_place.file != NULL ? -EINVAL : blame(reader, config->policy_option);
}

int config_choose_policy(struct reader *reader)
{
	struct config *config = reader->config;
	struct policy *policy = NULL;

	if (build_base(reader, &policy) < 0 ||
	        (config->allow != NULL && config->verb != CONFIG_LEARN &&
	                extend_by_operations(reader, &policy) < 0)) {
		return -EINVAL;
	}
	warn_of_policy_without_use(config);
	use_policy(config, policy);
	return 0;
}
