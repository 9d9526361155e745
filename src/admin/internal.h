/* SPDX-License-Identifier: MIT */
/* internal — a connection to the admin listener as a struct. Private to admin/. */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include "admin/admin.h"
#include "http/http.h"

enum {
	CONNECTIONS_MAX = 64, /* beyond it, the oldest one makes room */
	HEAD_MAX = 8 * 1024,
	PIECE_MAX = 16 * 1024, /* of a response, in memory at once */
	ENGINE_WHY_MAX = 1024,
	ADMIN_CHUNK_SIZE_LEN = 6, /* four digits and CRLF */
};

enum route {
#define ROUTE(name, path, open, method) ROUTE_##name,
#include "admin/routes.def"
#undef ROUTE
	ROUTES,
};

enum admin_state {
	ADMIN_HANDSHAKE,
	ADMIN_IDLE,  /* the first byte of a request */
	ADMIN_HEAD,  /* the rest of its head */
	ADMIN_PROBE, /* the Engine */
	ADMIN_AWAIT, /* the server, which does what was asked for */
	ADMIN_SEND,
	ADMIN_EVENTS, /* records, and that the client goes */
	ADMIN_LINGER, /* the client to close */
	ADMIN_STATES,
};

/* How a connection continues after a step. */
enum admin_next {
	ADMIN_WAIT,
	ADMIN_AGAIN,
	ADMIN_YIELD,
	ADMIN_CLOSE,
};

struct admin {
	struct admin_settings settings;
	struct loop *loop;
	struct watch watch; /* of the listening socket; fd -1: closed */
	struct timer_queue pause_queue;
	struct timer pause; /* runs while no descriptor is left */
	struct timer_queue deadlines[ADMIN_STATES];
	struct timer_queue retry_queue; /* while the Engine's queue is full */
	struct list connections;        /* the oldest first */
	unsigned count;
	bool stopping;
	bool handed; /* another process listens */
	struct timer_queue tick_queue;
	struct timer tick; /* runs while somebody watches */
	unsigned watchers;
	unsigned ticks;
	unsigned activity; /* at the last tick */
	bool changed;      /* since the last tick */
	bool engine_up;
	char engine_why[ENGINE_WHY_MAX];           /* if it is not, what helps */
	int64_t handshake_ns, handshake_turn_ns;   /* of the turn that began then */
	int64_t next_line_ns;                      /* earliest time of the next log line */
	struct http_field fields[HTTP_FIELDS_MAX]; /* of the head that is judged */
};

struct admin_connection {
	struct stream stream;
	struct admin *admin;
	enum admin_state state;
	struct timer deadline, retry;
	struct task again, deferred_free;
	struct list link;
	struct http_scan scan;
	struct engine_connection *engine; /* NULL: none is borrowed */
	/* Of the request. */
	enum route route;
	struct wish wish; /* in AWAIT */
	bool to_head;     /* HEAD */
	bool chunked;     /* the client knows chunks */
	bool keep;        /* the connection goes on after the response */
	bool is_whole;    /* all of the response is in `out`, or was sent */
	struct metrics_page page;
	struct admin_document *document; /* NULL: none is sent */
	size_t document_sent;
	struct trail_cursor cursor; /* in EVENTS */
	bool watches;
	bool tells_state, tells_alive; /* with the next piece */
	size_t in_len, out_len, out_sent;
	size_t page_sent; /* of the dashboard */
	char in[HEAD_MAX];
	char out[PIECE_MAX];
};

/* ── connection.c ────────────────────────────────────────────────────────── */

/* Serve the accepted `fd`, which is owned from now on. */
void admin_open(struct admin *admin, int fd);
void admin_close(struct admin_connection *connection);
enum admin_next admin_enter(struct admin_connection *connection, enum admin_state state);
/* Go on after a wait. */
void admin_run(struct admin_connection *connection);
/* Send what stands in `out`: ADMIN_AGAIN when all of it is sent. */
enum admin_next admin_send_out(struct admin_connection *connection);

/* ── access.c ────────────────────────────────────────────────────────────── */

/* Whether the sender of the request may do what is not open to everybody. */
bool admin_may(const struct admin_connection *connection, const struct http_request *request);

/* ── takeover.c ──────────────────────────────────────────────────────────── */

/* A request for TAKEOVER_PATH; `alone`: nothing else was received. */
enum admin_next admin_take_over(
        struct admin_connection *connection, const struct http_request *question, bool alone);

/* ── respond.c ───────────────────────────────────────────────────────────── */

/* A request whose head is whole was received: judge it, and begin to respond. */
enum admin_next admin_judge(struct admin_connection *connection, struct slice head);
/* Refuse what cannot be read; the connection ends. */
enum admin_next admin_refuse(
        struct admin_connection *connection, unsigned status, const char *message);
/* The Engine accepted a connection (0), or it did not (-errno): respond to the request. */
enum admin_next admin_answer(struct admin_connection *connection, int error);
/* Append the head of a response; `length` NULL: the body comes in chunks, or ends with the
 * connection. */
void admin_add_head(struct admin_connection *connection, struct text *text, unsigned status,
        const char *type, const size_t *length);
/* A whole response, with this JSON; and with {"message": …}. */
enum admin_next admin_send_json(
        struct admin_connection *connection, unsigned status, struct slice json);
enum admin_next admin_send_message(
        struct admin_connection *connection, unsigned status, const char *message);
/* Write the size of a chunk, where ADMIN_CHUNK_SIZE_LEN bytes were left for it. */
void admin_set_chunk_size(char *at, size_t size);
/* Render the next piece of a response that is not whole. */
void admin_fill(struct admin_connection *connection);

/* ── events.c ────────────────────────────────────────────────────────────── */

/* Respond to EVENTS. */
enum admin_next admin_begin_events(struct admin_connection *connection);
enum admin_next admin_step_events(struct admin_connection *connection);
/* The connection closes. */
void admin_end_events(struct admin_connection *connection);
void admin_tick(struct timer *timer);

/* ── errand.c ────────────────────────────────────────────────────────────── */

/* Put the next piece of the document into `out`. */
void admin_fill_document(struct admin_connection *connection);
/* What is wrong with a request to change something, as a sentence; NULL: nothing. */
const char *admin_find_fault(const struct http_request *request);
/* Let the server do what the request asks for, and respond when it is done. */
enum admin_next admin_run_errand(struct admin_connection *connection);
/* Of the path of CLOSE, what stands for the star. */
void admin_note_stream(struct admin_connection *connection, struct slice path);
/* It takes too long: respond that it goes on. */
enum admin_next admin_give_up_errand(struct admin_connection *connection);

/* ── dashboard.c ─────────────────────────────────────────────────────────── */

/* Begin to respond with the dashboard; and its next piece. */
enum admin_next admin_send_page(struct admin_connection *connection);
void admin_fill_page(struct admin_connection *connection);

#endif
