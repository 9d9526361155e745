/* SPDX-License-Identifier: MIT */
/*
 * limits — what each client may have at most, as the configuration says it.
 *
 * The limits are rows of limits.def. How much is in use is in accounts.h. Immutable.
 */
#ifndef LIMITS_LIMITS_H
#define LIMITS_LIMITS_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/text.h"
#include "outcome/outcome.h"
#include "yaml/yaml.h"

enum limit {
#define LIMIT(name, key, kind, total, outcome, remedy) LIMIT_##name,
#include "limits/limits.def"
#undef LIMIT
	LIMIT_COUNT,
};

enum {
	LIMIT_COUNT_MAX = 1000000,
	LIMIT_RATE_MAX = 1000000, /* requests a period */
};

struct limit_setting {
	/* 0: there is none. Connections, requests, streams, builds: how many at once. A body:
	 * bytes. The rate: nanoseconds that pass for each request. */
	uint64_t value;
	bool given;        /* the file has it, perhaps as 'none' */
	struct slice text; /* as the file has it */
	struct place place;
};

struct limits {
	struct limit_setting of[LIMIT_COUNT];
	int64_t period_ns; /* of the rate: as many requests as it allows in this time may come at
	                    * once
	                    */
};

enum limits_whose {
	LIMITS_EACH,  /* of each client; the map may have `total`, which is not read here */
	LIMITS_ENTRY, /* of one client */
	LIMITS_TOTAL, /* of all clients together: some limits are none of theirs */
};

/* The maps of limits: of each client, and of an entry. */
extern const struct yaml_shape limits_shape;
extern const struct yaml_shape limits_entry_shape;

/* Read a map of limits. 0; or -EINVAL. */
int limits_read_map(const struct yaml_node *map, enum limits_whose whose, struct limits *ret_limits,
        char error[FAULT_MAX]) MUST_USE;
/* Take over from `others` what `limits` does not give. */
void limits_inherit(struct limits *limits, const struct limits *others);
/* Whether there is a limit at all; `limits` may be NULL. */
bool limits_any(const struct limits *limits);

/* "builds". */
const char *limit_key(enum limit limit);
enum outcome limit_outcome(enum limit limit);
/* Append "connections 500, rate 200/s"; "none" without limits. */
void limits_add(const struct limits *limits, struct text *text);
/*
 * Append the sentence for a request beyond a limit: "client 'ci' reached the limit 'builds: 4'
 * (proxy.yaml:12): try again when one of them has ended". `who`: "client 'ci'".
 */
void limit_add_refusal(
        const struct limits *limits, enum limit limit, struct slice who, struct text *text);

#endif
