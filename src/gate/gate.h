/* SPDX-License-Identifier: MIT */
/*
 * gate — one decision: may this request go to the Engine?
 *
 * gate_decide() runs all checks in their one order:
 *
 *     head    its end, its size, its grammar                          http/
 *     admit   forms and browsers                                      http/
 *     route   which operation it is; the canonical path               docker/
 *     health  GET and HEAD of /health are the proxy's own
 *     judge   the policy                                              policy/
 *
 * Serving, `explain` and `convert` call it; the order of the checks is nowhere else.
 *
 * Pure: no socket, no clock, no memory of its own. A decision that needs more
 * (bytes of the head; planned: a body, or what the Engine knows of an object)
 * says so. The caller provides it and calls again with everything from before.
 * The checks run again from the head: nothing in the scratch survives a wait.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "docker/docker.h"
#include "http/http.h"
#include "identity/identity.h"
#include "outcome/outcome.h"
#include "policy/policy.h"

/* What holds at a listener. Immutable; any number of threads may ask with it. */
struct gate_config {
	const struct policy *policy; /* compiled */
	bool browsers;               /* requests of browsers are let through */
	unsigned max_head;           /* bytes */
};

struct gate_question {
	const struct caller *caller; /* no check asks for more than its listener's config yet */
	struct slice bytes;          /* of the request, from its first byte on */
	struct http_scan *scan; /* how far the end of the head was looked for; zeros at first */
};

/* Memory for one call, for each thread that asks. */
struct gate_scratch {
	struct http_request head;      /* parsed, slices of the question's bytes */
	struct docker_request request; /* routed */
	struct policy_scratch *judging;
	struct http_field fields[HTTP_FIELDS_MAX];
};

enum gate_action {
	GATE_FORWARD,     /* with the path of `request` */
	GATE_RESPOND,     /* the proxy responds itself, with `outcome` */
	GATE_NEED_HEAD,   /* more bytes: the head is not whole */
	GATE_NEED_BODY,   /* the whole body; no check asks for it yet */
	GATE_NEED_LOOKUP, /* what the Engine knows of an object; no check asks for it yet */
};

struct gate_decision {
	enum gate_action action;
	enum outcome outcome; /* of GATE_RESPOND; HEALTHY: if the Engine can be reached */
	const char *reason;   /* literal: what exactly is wrong; NULL: the outcome says it all */
	/*
	 * How far it came, in the scratch. A request that was not routed ends its
	 * connection: how others read it, and where it ends, is not known.
	 */
	const struct http_request *head;      /* NULL: it could not be parsed */
	const struct docker_request *request; /* NULL: it was not routed */
	const struct policy *policy;          /* that judged; NULL: none did */
	struct verdict verdict;               /* of `policy` */
};

/* The decision; its pointers are good until the scratch or the bytes change. */
struct gate_decision gate_decide(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch) MUST_USE;

/*
 * Write the head of a request for `target`, "/path?query" or
 * "http://host/path?query", to decide on a request that no client has sent.
 */
void gate_add_head(struct slice method, struct slice target, bool has_body, struct text *text);

#endif
