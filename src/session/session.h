/* SPDX-License-Identifier: MIT */
/*
 * session — one client connection, from accept to close.
 *
 * A session reads a request, calls the other folders one after the other, and
 * relays the response. The folders do not call each other. A worker is what the
 * sessions of one thread share: event loop, memory, connections to the Engine, log
 * lines. Workers share only the snapshot and struct worker_shared.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "audit/denials.h"
#include "identity/attempts.h"
#include "limits/accounts.h"
#include "metrics/metrics.h"
#include "session/snapshot.h"

struct trail;
struct worker;

/* The value of the Via by which the proxy knows its own requests: protocol and pseudonym (RFC 9110
 * section 7.6.3). The pseudonym is made of a random number, and says nothing else. */
#define SESSION_VIA "1.1 docker-socket-proxy-"
enum {
	SESSION_PROTOCOL_LEN = sizeof("1.1 ") - 1,
	SESSION_VIA_LEN = sizeof(SESSION_VIA) - 1 + 16, /* with the number, in hexadecimal */
};

/* What all workers share, for all snapshots. Must outlive the workers. */
struct worker_shared {
	atomic_uint connections;  /* of clients */
	unsigned max_connections; /* fixed, because pools are sized by it */
	atomic_uint engine_connections;
	unsigned max_descriptors; /* of connections of both kinds */
	unsigned
	        max_bodies; /* judged bodies above a small buffer, at the same time in one worker */
	unsigned max_large; /* large buffers of one worker */
	struct denials denials;
	struct attempts attempts;
	atomic_uint revoked; /* requests that were ended since it was set to 0 */
	struct accounts *accounts;
	struct learn *_Atomic learn;   /* NULL: requests are not recorded */
	struct metrics *metrics;       /* NULL: nothing is counted */
	struct trail *trail;           /* NULL: nobody can want audit records */
	char via[SESSION_VIA_LEN + 1]; /* "": requests are not marked */
	/* In the thread of a worker that was stopped: its last session has ended. NULL: its loop
	 * ends then. */
	void (*ended)(struct worker *worker, struct worker_shared *shared);
};

/*
 * Make a worker that starts with `snapshot`, of which it takes a reference. The
 * snapshot determines the sizes of buffers. 0 and *ret_worker, or -errno.
 */
int worker_new(struct worker_shared *shared, struct snapshot *snapshot,
        struct worker **ret_worker) MUST_USE;
void worker_free(struct worker *worker);

/*
 * Call the functions below in the thread of the worker, or before it runs.
 */

/* The worker's connections to the default Engine, for as long as the worker lives. */
struct upstream *worker_upstream(struct worker *worker);
/* For questions to Engines, in the thread of the worker. */
struct asker *worker_asker(struct worker *worker);
/* By which it judges the next request. */
struct snapshot *worker_snapshot(struct worker *worker);
/* Its connections to the Engine with this number in that snapshot, which is no group; NULL without
 * memory. */
struct upstream *worker_upstream_to(struct worker *worker, unsigned number) MUST_USE;
/* The event loop of the worker; its watches are served in the thread of the worker. */
struct loop *worker_loop(struct worker *worker);
/* Serve until worker_stop() was called and the last session has ended. 0 or -errno. */
int worker_run(struct worker *worker) MUST_USE;
/* Judge further requests by another snapshot, which must have the same sizes. Requests in progress
 * keep their snapshot; connections without one are closed, if their listener is not there any more.
 */
void worker_adopt(struct worker *worker, struct adoption *adoption);
/* Make new connections to Engines with names at these addresses; takes over a reference. */
void worker_move_engines(struct worker *worker, struct engine_places *places);
/* Other processes accept: serve the connections that there are until they end, each with the next
 * response, and close what is left when the time of the configuration is over. No session may be
 * opened after this. */
void worker_drain(struct worker *worker);
/* As worker_drain(), with the time of the grace. */
void worker_retire(struct worker *worker);
/* Complete short responses; close all sessions after the grace. No session may be opened after
 * this. */
void worker_stop(struct worker *worker);

enum {
	STREAM_PEER_MAX = ADDRESS_NAME_MAX,
	STREAM_TARGET_MAX = 128,
	STREAMS_LISTED_MAX = 1000, /* of one worker */
};

/* A request in progress that may last, as values. Only where there are metrics. */
struct session_stream {
	uint64_t id;
	int64_t started_ns;        /* monotonic */
	const char *operation;     /* of the catalogue */
	unsigned client, listener; /* numbers of their names, for metrics */
	uint64_t to_engine, to_client;
	unsigned peer_len, target_len;
	char peer[STREAM_PEER_MAX];
	char target[STREAM_TARGET_MAX]; /* as the client sent it, cut */
};

/* What a worker does, for operators. */
struct session_listing {
	unsigned count;
	unsigned idle; /* connections to the Engine */
	/* Of clients, by the number of their name: of the one that sent the last request. */
	unsigned connections[METRICS_NAMES_MAX];
	struct session_stream streams[STREAMS_LISTED_MAX]; /* further ones are left out */
};

void sessions_list(const struct worker *worker, struct session_listing *ret_listing);
/* An operator ends a stream; the log says so. False: the worker has none with that id. */
bool session_end_stream(struct worker *worker, uint64_t id) MUST_USE;

/*
 * Count a connection of the caller, which was accepted. OUTCOME_FORWARDED, and *ret_host for
 * session_open(); or the outcome by which it is refused, with a sentence in `reason`, whose
 * memory is zeroed.
 */
enum outcome session_count(struct worker *worker, const struct caller *caller,
        struct account **ret_host, struct text *reason) MUST_USE;
/*
 * Serve the client at the socket `fd`, which the session now owns; it was counted at `host`. 0, or
 * -errno without memory or a place in the event loop: then the connection is closed.
 */
int session_open(
        struct worker *worker, int fd, const struct caller *caller, struct account *host) MUST_USE;

#endif
