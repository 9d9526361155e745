/* SPDX-License-Identifier: MIT */
/* limits — checks of what must be there. */
#include "inspect/check.h"

static const struct row limit_row = {.key = KEY_CREATE_require};

/* A member, NULL: it is missing, null, or `object` is no object. */
static const struct json_node *inner(const struct json_node *object, const char *name)
{
	const struct json_node *member = object == NULL || object->type != JSON_OBJECT
	                                         ? NULL
	                                         : json_member(object, slice_of(name));

	return member == NULL || member->type == JSON_NULL ? NULL : member;
}

static const struct json_node *member_of(const struct json_node *object, const char *name)
{
	const struct json_node *member = inner(object, name);

	return member == NULL || member->type != JSON_NUMBER ? NULL : member;
}

/* 0: it is missing, or no number. */
static int64_t number_of(const struct json_node *object, const char *name)
{
	const struct json_node *member = member_of(object, name);
	int64_t number = 0;

	return member == NULL || !json_integer(member, &number) ? 0 : number;
}

/* "Pids" of "Resources/Limits/Pids" */
static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* `path`: to the member of `object`, from the value at which the walk is. */
static void find_limit(struct walk *walk, const struct json_node *object, const char *path)
{
	const struct json_node *member = member_of(object, last_name(path));
	const struct slice word = member == NULL ? SLICE("") : member->text;
	const bool none = slice_equal(word, SLICE("0")) || slice_equal(word, SLICE("-1"));

	walk_find_in(walk, &limit_row, path, word,
	        member == NULL ? "must be given"
	        : none         ? "is no limit: give one"
	                       : "is not within the limit");
}

/* A number from 1 to `most`; `zero`: 0 is as good as none. */
static void check_limit(struct walk *walk, const struct json_node *object, const char *path,
        int64_t most, bool zero)
{
	const int64_t number = number_of(object, last_name(path));
	const bool given = zero ? number != 0 : member_of(object, last_name(path)) != NULL;

	if (most > 0 && (given ? number < 1 || number > most : !walk->update)) {
		find_limit(walk, object, path);
	}
}

static void check_cpus(struct walk *walk, const struct json_node *host, int64_t most)
{
	enum { STANDARD_PERIOD = 100000 }; /* microseconds */
	const int64_t quota = number_of(host, "CpuQuota");
	const int64_t period = number_of(host, "CpuPeriod");
	const int64_t base = period == 0 ? STANDARD_PERIOD : period;

	if (quota == 0 && period == 0) {
		check_limit(walk, host, "NanoCpus", most, true);
	} else if (quota <= 0 || base <= 0 || quota > INT64_MAX / 1000000000 ||
	           quota * 1000000000 / base > most) {
		find_limit(walk, host, "CpuQuota");
	} else if (walk->update && period == 0) {
		/* With the period that the container has, it may be any share. */
		find_limit(walk, host, "CpuPeriod");
	}
}

static bool is_within(const struct json_node *ulimit, int64_t most)
{
	const int64_t hard = number_of(ulimit, "Hard");
	const int64_t soft = number_of(ulimit, "Soft");

	return hard >= 0 && soft >= 0 && hard <= most && soft <= most;
}

/* The Engine compares names without their case, and sets all that are given for one. */
static void check_ulimit(struct walk *walk, const struct json_node *list, const char *path,
        struct slice name, int64_t most)
{
	bool found = false;

	for (const struct json_node *at = list == NULL ? NULL : json_first(list); at != NULL;
	        at = json_next(list, at)) {
		if (!slice_equal_nocase(text_of(json_member(at, SLICE("Name"))), name)) {
			continue;
		}
		found = true;
		if (!is_within(at, most)) {
			walk_find_in(walk, &limit_row, path, name, "is not within the limit");
		}
	}
	if (!found) {
		walk_find_in(walk, &limit_row, path, name, "must be given");
	}
}

static void check_ulimits(struct walk *walk, const struct json_node *object, const char *path)
{
	const struct limits *limits = &walk->constraints->limits;
	const struct json_node *list = inner(object, last_name(path));

	for (unsigned i = 0; i < limits->ulimit_count; i++) {
		check_ulimit(walk, list, path, limits->ulimits[i].name, limits->ulimits[i].most);
	}
}

/*
 * rtprio and nice let processes without a capability go before those of the host. The Engine takes
 * a name in any case of its letters: it writes the name in capitals, and makes a capital I or S of
 * a dotless i or a long s. Only ASCII is therefore accepted.
 */
CHECK(LIMIT_NAME)
{
	const struct slice word = text_of(value);
	char memory[sizeof("sigpending")];
	struct text lower = text_over(memory, sizeof(memory));

	for (size_t i = 0; i < word.len; i++) {
		if (!ascii_is_alnum(word.ptr[i])) {
			walk_find(walk, row, word, "is not a name in ASCII letters");
			return;
		}
		text_add_char(&lower, ascii_lower(word.ptr[i]));
	}
	if (word.len > 0 && !set_of(walk, row->key)->any &&
	        (lower.overflow || !word_is_in(text_slice(&lower), row->fine))) {
		walk_find(walk, row, word, NULL);
	}
}

CHECK(LIMITS)
{
	const struct limits *limits = &walk->constraints->limits;
	const int64_t swap = number_of(value, "MemorySwap");

	(void)row;
	check_limit(walk, value, "Memory", limits->memory, true);
	if (limits->memory > 0 && (swap < 0 || swap > 2 * limits->memory)) {
		find_limit(walk, value, "MemorySwap");
	}
	check_limit(walk, value, "PidsLimit", limits->pids, false);
	if (limits->cpus > 0) {
		check_cpus(walk, value, limits->cpus);
	}
	if (!walk->update) {
		check_ulimits(walk, value, "Ulimits");
	}
}

/* Engines publish a port whose list is empty as one with an empty element: on all addresses. */
static void check_empty_ports(struct walk *walk, const struct json_node *host)
{
	static const struct row port_row = {.key = KEY_CREATE_publish, .fine = ""};
	const struct json_node *ports =
	        host == NULL ? NULL : json_member(host, SLICE("PortBindings"));

	for (const struct json_node *at = ports == NULL ? NULL : json_first(ports); at != NULL;
	        at = json_next(ports, at)) {
		const struct slice all = SLICE("0.0.0.0:0");
		if (json_first(at) == NULL && !allows(walk, &port_row, all)) {
			walk_find_in(walk, &port_row, "PortBindings", all, NULL);
		}
	}
}

CHECK(CREATION)
{
	const struct json_node *mode =
	        value == NULL ? NULL : json_member(value, SLICE("NetworkMode"));

	check_LIMITS(walk, row, value);
	check_empty_ports(walk, value);
	if (mode == NULL || mode->type == JSON_NULL) {
		const struct slice bridge = SLICE("bridge");
		if (!allows(walk, &network_row, bridge)) {
			walk_find_in(walk, &network_row, "NetworkMode", bridge, NULL);
		}
	}
}

/* ── Services ────────────────────────────────────────────────────────────── */

static void check_task_limits(struct walk *walk, const struct json_node *task)
{
	const struct limits *limits = &walk->constraints->limits;
	const struct json_node *given = inner(inner(task, "Resources"), "Limits");

	check_limit(walk, given, "Resources/Limits/MemoryBytes", limits->memory, true);
	check_limit(walk, given, "Resources/Limits/NanoCPUs", limits->cpus, true);
	check_limit(walk, given, "Resources/Limits/Pids", limits->pids, true);
	check_ulimits(walk, inner(task, "ContainerSpec"), "ContainerSpec/Ulimits");
}

/* What a swarm does with a task that ended, in the word for what an Engine does with a container.
 */
static struct slice restart_word(struct slice condition)
{
	if (slice_equal(condition, SLICE("none"))) {
		return SLICE("no");
	}
	return condition.len == 0 || slice_equal(condition, SLICE("any")) ? SLICE("always")
	                                                                  : condition;
}

CHECK(TASK)
{
	static const struct row restart_row = {.key = KEY_CREATE_restart, .fine = "no"};
	const struct slice word =
	        restart_word(text_of(inner(inner(value, "RestartPolicy"), "Condition")));

	(void)row;
	check_task_limits(walk, value);
	if (!allows(walk, &restart_row, word)) {
		walk_find_in(walk, &restart_row, "RestartPolicy/Condition", word, NULL);
	}
}
