/* SPDX-License-Identifier: MIT */
/*
 * takeover — how a new process of the program gets the listening sockets of an old one.
 *
 * The new one asks at the unix socket of the old one's admin listener, with an HTTP request that
 * switches protocols (POST /api/takeover, Upgrade: TAKEOVER_PROTOCOL). After the 101 both send
 * records of one size over this connection:
 *
 *     old   LISTENER, PASSED, ADMIN or NOTIFY, each with one descriptor (SCM_RIGHTS); then END
 *     new   READY, once it serves: which of them it uses
 *     old   GO, once it accepts no more
 *
 * Until READY either side may leave: the old one then goes on as if nothing had happened. A record
 * is memory of the machine, because both sides run on it; TAKEOVER_PROTOCOL has another number if
 * one changes.
 */
#ifndef TAKEOVER_TAKEOVER_H
#define TAKEOVER_TAKEOVER_H

#include "address/address.h"
#include "base/check.h"
#include "base/fault.h"

#include <stdint.h>

#define TAKEOVER_PATH     "/api/takeover"
#define TAKEOVER_PROTOCOL "docker-socket-proxy-takeover/1"

enum {
	/* 64 workers with 16 listeners each, and those of the service manager. */
	TAKEOVER_SOCKETS_MAX = 64 * 16 + 64,
	TAKEOVER_NAME_MAX = 255, /* bytes of the name of a passed socket: systemd.socket(5) */
	TAKEOVER_READY_S = 120,  /* from the last socket to READY */
	TAKEOVER_STEP_S = 10,    /* for every other step */
};

enum takeover_kind {
	TAKEOVER_LISTENER = 1, /* a socket that the old process opened */
	TAKEOVER_PASSED,       /* one that the service manager passed, with its name */
	TAKEOVER_ADMIN,        /* that of the admin listener */
	TAKEOVER_NOTIFY,       /* connected to the service manager; `number`: its watchdog, ns */
	TAKEOVER_END,          /* `number`: how many came before */
	TAKEOVER_READY,        /* `bits`: those that are used, in their order */
	TAKEOVER_GO,
};

struct takeover_record {
	uint32_t kind;
	uint32_t reserved; /* 0 */
	uint64_t number;
	union {
		char name[TAKEOVER_NAME_MAX + 1]; /* ends with a NUL */
		unsigned char bits[TAKEOVER_NAME_MAX + 1];
	};
};

static inline void takeover_set(struct takeover_record *ready, unsigned i)
{
	ready->bits[i / 8] = (unsigned char)(ready->bits[i / 8] | 1U << (i % 8));
}

static inline bool takeover_has(const struct takeover_record *ready, unsigned i)
{
	return (ready->bits[i / 8] & 1U << (i % 8)) != 0;
}

/* ── The old process: neither call waits ─────────────────────────────────── */

/* Send a record, with the descriptor `passed` unless that is -1. 0, -EAGAIN, or another -errno. */
int takeover_send(int connection, const struct takeover_record *record, int passed) MUST_USE;
/* Receive the rest of a record, of which *len bytes are there. 0 when it is whole; -EAGAIN; or
 * another -errno, -EPIPE at the end. */
int takeover_receive(int connection, struct takeover_record *record, size_t *len) MUST_USE;

/* ── The new process: every call waits, but not for ever ─────────────────── */

struct taken_socket {
	int fd; /* -1: none any more */
	enum takeover_kind kind;
	bool used;
	unsigned mode; /* of the file of a unix socket, before it was changed; 0: it was not */
	union address address; /* to which it is bound; not of NOTIFY */
	char name[TAKEOVER_NAME_MAX + 1];
};

struct taken {
	int connection; /* to the old process; -1: it is over */
	int process;    /* the old one; 0: not known */
	int64_t watchdog_ns;
	unsigned count;
	struct taken_socket list[TAKEOVER_SOCKETS_MAX];
};

/*
 * Ask the process whose admin listener is at `path`. If it is busy, ask again for some seconds.
 * NULL: `error` says why, and that process goes on.
 */
struct taken *takeover_ask(const char *path, char error[FAULT_MAX]) MUST_USE;
/*
 * Say that this process serves, with the sockets that are marked as used, and wait until the old
 * one accepts no more. False: it did not say so, and `error` says what happened.
 */
bool takeover_finish(struct taken *taken, char error[FAULT_MAX]) MUST_USE;
/* Close all that is open; the names stay. `taken` may be NULL. */
void takeover_close(struct taken *taken);
void takeover_free(struct taken *taken);

#endif
