/* SPDX-License-Identifier: MIT */
/*
 * admin — the listener for those who operate the proxy: routes.def says what it serves.
 *
 * It runs in the loop of one worker, beside the sessions of clients, and takes little of a turn:
 * text is rendered a piece at a time. It has its own connections, with a ceiling and deadlines of
 * their own, so that nobody who does not read or write holds anybody else up.
 *
 * On a unix socket the mode of its file says who may use it. On TCP and TLS a key or a certificate
 * does, but for what is open.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "base/wish.h"
#include "identity/key.h"
#include "metrics/metrics.h"
#include "net/stream.h"
#include "trail/trail.h"
#include "upstream/upstream.h"

/* What is answered to several, as text. */
struct admin_document {
	unsigned references;
	size_t len;
	char bytes[];
};

/*
 * What the server does for operators. Each wish is told its end in the thread of the listener,
 * perhaps before the function returns.
 */
struct admin_server {
	/* Read the configuration again. */
	void (*reload)(void *context, struct wish *wish);
	/* End the stream wish->about; false without a sentence: there is none. */
	void (*close_stream)(void *context, struct wish *wish);
	/* Describe what the program does. When the wish is told that it is done: */
	void (*look)(void *context, struct wish *wish);
	/* …the description, with a reference for admin_document_leave(). */
	struct admin_document *(*take)(void *context);
	/* A number that is another one when connections have come or gone. */
	unsigned (*activity)(void *context);
};

void admin_document_leave(struct admin_document *document);

struct admin_settings {
	int fd;                            /* listening; the admin listener owns it from now on */
	const struct transport *transport; /* of accepted connections */
	bool is_guarded;                   /* TCP or TLS: what is not open needs a key */
	bool is_tls;                       /* a name is proved by the certificate */
	const struct key_hash *keys;
	unsigned key_count;
	struct metrics *metrics;
	struct trail *trail;
	struct upstream *upstream; /* of the worker, to the default Engine; NULL: there is none */
	const char *engine_text;   /* the Engine's address as the configuration has it */
	const struct admin_server *server;
	/* `process` asks for the listening sockets over `fd`. 0: `fd` is owned by the callee now.
	 * Else a status with a message, and `fd` is closed. NULL: nobody is given any. */
	unsigned (*hand_over)(void *context, int fd, int process, const char **ret_message);
	void *context;
};

struct admin;

/* Serve in the loop. What `settings` points to stays. 0 and *ret_admin; or -errno and `fd` is
 * closed. */
int admin_new(struct loop *loop, const struct admin_settings *settings,
        struct admin **ret_admin) MUST_USE;
/* Whether the Engine accepted the last connection that the listener asked for, and if not, why,
 * with a NUL. `admin` is not NULL. */
bool admin_engine_is_up(const struct admin *admin, const char **ret_why);
/* What operators see has changed. `admin` may be NULL. */
void admin_changed(struct admin *admin);
/* The trail has new records. `admin` may be NULL. */
void admin_show_records(struct admin *admin);
/* From now on /ready says that the program stops. */
void admin_stopping(struct admin *admin);
/* The listening socket; -1: there is none. `admin` may be NULL. */
int admin_socket(const struct admin *admin);
/* Another process listens: accept no more, and close what has no request. */
void admin_hand_over(struct admin *admin);
/* Close all. Before the worker is freed, and not within a turn. `admin` may be NULL. */
void admin_free(struct admin *admin);

#endif
