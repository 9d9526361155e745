/* SPDX-License-Identifier: MIT */
/*
 * gate — one decision: may this request go to the Engine?
 *
 * gate_decide() runs all checks in this order:
 *
 *     head    end, size and grammar of the head                       http/
 *     admit   forms and browsers                                      http/
 *     engine  which Engine it means, if there are several             engines/
 *     route   which operation it is; the canonical path               docker/
 *     health  the proxy itself serves GET and HEAD of /health
 *     loop    the proxy has forwarded it already                      http/
 *     identify who the client is, and by which policy it is judged    identity/
 *     permit  whether the client may use that Engine                  engines/
 *     judge   the policy                                              policy/
 *     scope   whose object it is, and lists of objects                scope/
 *     inspect query and body, if the policy looks into them           inspect/
 *     redact  what is hidden in the response, if it is forwarded      redact/
 *
 * Serving, `explain` and `convert` call this function; the order is nowhere else.
 *
 * Pure: no socket, no clock, no memory of its own. If a decision needs more input
 * (bytes of the head, a whole body, what the Engine knows of an object), the result
 * says so. The caller then calls again with all input, and the checks run
 * again from the head: nothing in the scratch survives a wait. A head that came before is not read
 * again, if the scratch has a memory for that: see recall/recall.h.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "docker/docker.h"
#include "engines/engines.h"
#include "http/http.h"
#include "identity/clients.h"
#include "inspect/inspect.h"
#include "outcome/outcome.h"
#include "policy/policy.h"
#include "recall/recall.h"

/* The settings of a listener. Immutable; shared by all threads. */
struct gate_config {
	const struct policy *policy;   /* of who is no client; compiled */
	const struct clients *clients; /* NULL: all are judged by `policy` */
	const struct engines *engines; /* NULL: there is one alone */
	unsigned engine;   /* that requests mean which name none; ENGINE_NONE: there is none */
	bool browsers;     /* accept requests of browsers */
	bool sees_host;    /* paths of the host can be resolved: see GATE_NEED_PATHS */
	unsigned max_head; /* bytes */
};

/* What is kept of a request that was forwarded, to ask again whether it is allowed. */
struct gate_kept {
	struct slice method;
	struct slice path;     /* as sent */
	struct slice query;    /* ptr NULL: none */
	bool has_body;         /* it announced one that is not empty */
	const struct key *key; /* that it presented; NULL: none */
};

struct gate_question {
	const struct caller *caller;
	const struct client *client;       /* that the caller is; NULL: it is to be found */
	struct slowdown slowdown;          /* of keys from the caller's host */
	const struct container *container; /* that the caller runs in; NULL: none */
	bool container_asked;              /* the Engine was asked for it */
	int64_t now_s;                     /* seconds since 1970: entries of clients end */
	struct slice server_name;          /* for which the client asked TLS; empty: none */
	struct slice pseudonym;            /* of this proxy, in Via; empty: it has none */
	struct slice bytes;                /* of the request, from its first byte on */
	struct http_scan *scan; /* state of the search for the end of the head; zeroed before the
	                           first call */
	struct slice body;      /* the whole body without its framing; ptr NULL: it was not read */
	/* For judging query and body; NULL: none yet. Its `paths` are begun before the first call.
	 */
	struct inspect_memory *memory;
	const struct scope_answers *answers; /* of the Engine; NULL: none yet */
	const struct gate_kept
	        *kept; /* of gate_decide_again(), which reads no `bytes`; else NULL */
};

/* Memory for one call; one for each thread. Zero it before the first call, and give it `judging`.
 */
struct gate_scratch {
	struct http_request head;      /* parsed, slices of the question's bytes or the recall's */
	struct docker_request request; /* routed */
	struct recall *recall;         /* heads that came before; NULL: none */
	struct policy_scratch *judging;
	struct key key; /* of the request */
	struct http_field fields[HTTP_FIELDS_MAX];
	struct findings findings;
	char reference[SCOPE_REFERENCE_MAX +
	               1]; /* of the query; a longer one is cut, and is no name */
	uint64_t usable[ENGINE_WORDS_MAX];
	struct engine_set usable_set;
};

enum gate_action {
	GATE_FORWARD,     /* with the path of `request` */
	GATE_RESPOND,     /* the proxy responds itself, with `outcome` */
	GATE_NEED_HEAD,   /* more bytes: the head is incomplete */
	GATE_NEED_BODY,   /* the whole body, up to INSPECT_BODY_MAX; `head` and `request` are set */
	GATE_NEED_MEMORY, /* a `memory` for the question */
	GATE_NEED_LOOKUP, /* an answer about the `object` */
	GATE_NEED_CALLER, /* the container of the caller, or that there is none */
	GATE_NEED_PATHS,  /* where the paths of the memory lead on the host (hostfs/) */
};

struct gate_decision {
	enum gate_action action;
	enum outcome outcome; /* of GATE_RESPOND; HEALTHY holds only if the Engine can be reached */
	/* That the request means; ENGINE_NONE: none, or one that is not there. Of HEALTHY the one
	 * that is asked; ENGINE_NONE: none is. */
	unsigned engine;
	bool by_path;                    /* the path names it */
	const struct engine_set *usable; /* of ENGINES: those that the sender may use */
	const char *reason; /* string literal, more exact than the outcome's text; NULL: none */
	/*
	 * The results of the checks that ran, in the scratch. A request that was not
	 * routed ends its connection, because its end is not certain.
	 */
	const struct http_request *head;      /* NULL: not parsed */
	const struct docker_request *request; /* NULL: not routed */
	struct recalled *recalled;            /* the head that came before; NULL: it was read */
	const struct client *client;          /* NULL: none */
	const struct clients *clients;        /* among which it was sought; NULL: there are none */
	struct sender sender;                 /* of `clients`; its key is in the scratch */
	bool elsewhere;                       /* its key is right, of an entry for other Engines */
	bool wants_key; /* a key could make the sender a client that comes before `client` */
	const struct policy *policy;       /* the policy that judged; NULL: none */
	struct verdict verdict;            /* of `policy` */
	const struct findings *findings;   /* what a block or the scope denies; NULL: nothing */
	const struct scope *scope;         /* of the policy; NULL: none */
	struct scope_object object;        /* of NEED_LOOKUP, and of NOT_FOUND */
	const struct redaction *redaction; /* what is hidden in the response; NULL: nothing */
	const struct scope *narrows;       /* objects that the response keeps; NULL: all */
	bool top_as_usual; /* the response lists processes as redactor_begin() says */
	struct slice body; /* what is sent in place of the body; ptr NULL: what was received */
};

/* The pointers of the decision are valid until the scratch or the bytes change. */
struct gate_decision gate_decide(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch) MUST_USE;

/*
 * The same for a request that was forwarded under another configuration and is in progress: route,
 * identify, judge, inspect the query, redact. What was judged of its body and of the objects that
 * it names is not judged again: the caller compares scope and redaction of both decisions.
 */
struct gate_decision gate_decide_again(const struct gate_config *config,
        const struct gate_question *question, struct gate_scratch *scratch) MUST_USE;

/* Append the words of the Engine's 404 about the object of NOT_FOUND. */
void gate_add_missing(const struct gate_decision *decision, struct text *text);

/*
 * Append the sentences for the client about a request that the policy denies: what it is, which
 * policy, rule or block denies it, and what would allow it.
 */
void gate_add_denial(const struct gate_decision *decision, struct text *text);

/*
 * About ENGINE_DENIED and ENGINE_UNNAMED, for operators; clients are not told which Engines there
 * are. Append why: "'engines' of client 'a' does not have the Engine 'node-2'"; what would allow
 * it, as the end of a sentence after "To allow it, ", or nothing; and the same to be pasted.
 */
void gate_add_engine_reason(
        const struct gate_config *config, const struct gate_decision *decision, struct text *text);
void gate_advise_engine(
        const struct gate_config *config, const struct gate_decision *decision, struct text *text);
void gate_add_engine_remedy(
        const struct gate_config *config, const struct gate_decision *decision, struct text *yaml);
/* Append what the client is told of ENGINE_UNNAMED. */
void gate_add_unnamed(const struct gate_decision *decision, struct text *text);

/*
 * Append the head of a request for `target`, "/path?query" or
 * "http://host/path?query", and for a body of JSON with `body_len` bytes: for `explain` and
 * `convert`, which have no received head.
 */
void gate_add_head(struct slice method, struct slice target, size_t body_len, struct text *text);

#endif
