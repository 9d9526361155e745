/* SPDX-License-Identifier: MIT */
/* limits — checks of what must be there. */
#include "inspect/check.h"

static const struct row limit_row = {.key = KEY_CREATE_require};

static const struct json_node *member_of(const struct json_node *object, const char *name)
{
	const struct json_node *member =
	        object == NULL ? NULL : json_member(object, slice_of(name));

	return member == NULL || member->type != JSON_NUMBER ? NULL : member;
}

/* 0: it is missing, or no number. */
static int64_t number_of(const struct json_node *object, const char *name)
{
	const struct json_node *member = member_of(object, name);
	int64_t number = 0;

	return member == NULL || !json_integer(member, &number) ? 0 : number;
}

static void find_limit(struct walk *walk, const struct json_node *host, const char *name)
{
	const struct json_node *member = member_of(host, name);

	walk_find_in(walk, &limit_row, name, member == NULL ? SLICE("") : member->text,
	        member == NULL ? "must be given" : "is not within the limit");
}

/* A number from 1 to `most`; `zero`: 0 is as good as none. */
static void check_limit(
        struct walk *walk, const struct json_node *host, const char *name, int64_t most, bool zero)
{
	const int64_t number = number_of(host, name);
	const bool given = zero ? number != 0 : member_of(host, name) != NULL;

	if (most > 0 && (given ? number < 1 || number > most : !walk->update)) {
		find_limit(walk, host, name);
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
static void check_ulimit(
        struct walk *walk, const struct json_node *list, struct slice name, int64_t most)
{
	bool found = false;

	for (const struct json_node *at = list == NULL ? NULL : json_first(list); at != NULL;
	        at = json_next(list, at)) {
		if (!slice_equal_nocase(text_of(json_member(at, SLICE("Name"))), name)) {
			continue;
		}
		found = true;
		if (!is_within(at, most)) {
			walk_find_in(walk, &limit_row, "Ulimits", name, "is not within the limit");
		}
	}
	if (!found) {
		walk_find_in(walk, &limit_row, "Ulimits", name, "must be given");
	}
}

static void check_ulimits(
        struct walk *walk, const struct json_node *host, const struct limits *limits)
{
	const struct json_node *list = host == NULL ? NULL : json_member(host, SLICE("Ulimits"));

	for (unsigned i = 0; i < limits->ulimit_count; i++) {
		check_ulimit(walk, list, limits->ulimits[i].name, limits->ulimits[i].most);
	}
}

/* The Engine writes it in capitals, and a dotless i or a long s is a capital I or S then. */
CHECK(LETTERS)
{
	const struct slice word = text_of(value);

	for (size_t i = 0; i < word.len; i++) {
		if (!ascii_is_alnum(word.ptr[i])) {
			walk_find(walk, row, word, "is not a name in ASCII letters");
			return;
		}
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
		check_ulimits(walk, value, limits);
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
