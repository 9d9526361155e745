/* SPDX-License-Identifier: MIT */
/*
 * script — streams whose peer is the test: a third table of verbs.
 *
 * Bytes arrive in the pieces that the test gives, writes are taken as far as it
 * says, ends and errors come where it wants them. Nothing happens by itself:
 * each call below is one event of the kernel, which the stream's owner is
 * notified of before the call returns.
 */
#ifndef TESTS_SCRIPT_H
#define TESTS_SCRIPT_H

#include "net/stream.h"

enum { SCRIPTS_MAX = 256 };

struct script {
	struct stream *stream; /* NULL: none yet; of no use once it is closed */
	bool connects;         /* it is one to the Engine */
	char *arrived;         /* bytes on their way to the stream */
	size_t arrived_len;
	size_t read;    /* of them */
	unsigned reads; /* that gave some of them */
	bool ended;     /* they are all there are */
	bool reset;
	bool deaf;   /* it reads no more: writing to it fails */
	size_t room; /* bytes that the next writes take */
	char *got;   /* bytes that were written */
	size_t got_len;
	bool held;        /* the last bytes were written with "more follows", and not pushed */
	bool finished;    /* its end was written */
	bool closed;      /* the stream is no more */
	bool cut;         /* closed with a reset */
	int handshake;    /* what it says: 0, -EAGAIN, … */
	size_t looked_at; /* of `got`, for the test */
};

/* All scripts of a test, in the order of their beginning. */
struct script_net {
	struct transport transport; /* first: what the code under test sees */
	struct script scripts[SCRIPTS_MAX];
	unsigned count;
	bool splices;       /* streams that begin now have these verbs */
	bool takes_pages;   /* streams that connect are as unix sockets */
	size_t room;        /* of those */
	int connect_error;  /* what connecting says */
	int handshake;      /* of streams that connect */
	unsigned connected; /* streams that connected so far */
};

/* What comes with an event that is reported. */
enum script_company {
	COMPANY_NONE,      /* it is alone: all is done at once */
	COMPANY_ELSEWHERE, /* others, of nobody here: it is handled in rounds, which come to their
	                      end */
	COMPANY_HERE,      /* all of the turn, which the test ends */
};

/* Of all scripts. */
extern enum script_company script_company;

void script_net_init(struct script_net *net);
/* Every stream must be closed. */
void script_net_done(struct script_net *net);
/* The next script, for a stream that is accepted: its descriptor is the result. */
int script_begin(struct script_net *net);

void script_arrive(struct script *script, struct slice bytes);
void script_end(struct script *script);
/* A reset, or a process that is gone. */
void script_reset(struct script *script);
void script_give_room(struct script *script, size_t room);
/* The handshake comes to that result. */
void script_handshake(struct script *script, int result);

static inline struct slice script_got(const struct script *script)
{
	return (struct slice){script->got == NULL ? "" : script->got, script->got_len};
}

#endif
