/* SPDX-License-Identifier: MIT */
/*
 * loop — the event loop of a thread: descriptors, timers, and tasks at the end of
 * a turn. A turn is one epoll_wait() and the handling of its events.
 *
 * Several events are handled in rounds: first all are read, then all are judged, and so on. The
 * code and the data of a round come into the processor's caches once for all of them, and a peer
 * that wakes up has more than one message to read. Measured: docs/performance.md.
 *
 * Everything in a loop belongs to the loop's thread. The memory of an object must
 * stay valid until the end of the turn, because the kernel may have reported an
 * event for it already: free it in a task.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/check.h"
#include "base/list.h"

#include <stdint.h>

/* What needs another round than the present one goes on there, as a task. */
enum loop_round {
	ROUND_READ, /* the events themselves */
	ROUND_JUDGE,
	ROUND_WRITE,
	ROUND_LAST, /* the rest of the turn; of an event that is alone, all of it */
	ROUNDS,
};

struct loop {
	int epoll; /* descriptor */
	enum loop_round round;
	struct list rounds[ROUNDS]; /* the tasks of each; of the first there are none */
	int64_t now_ns;             /* CLOCK_MONOTONIC, read once a turn */
	int64_t realtime_ns;        /* of loop_realtime_ns(); 0: nobody has asked in this turn */
	int64_t next_ns;            /* no timer expires before */
	bool stopped;
	struct list tasks;
	struct list timer_queues;
};

/* A descriptor in the loop. `ready` gets the EPOLL* bits. */
struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};

/* Work for a later round, or for the end of the turn. A task that puts itself off to the end again
 * runs in the next turn. */
struct task {
	struct list link;
	void (*run)(struct task *task);
};

/* Timers of one duration, so that the list is in the order of expiry. */
struct timer_queue {
	struct list link;
	struct list timers;
	int64_t duration_ns;
};

struct timer {
	struct list link;
	int64_t expires_ns;
	void (*expired)(struct timer *timer);
};

/* 0 or -errno. */
int loop_init(struct loop *loop) MUST_USE;
void loop_done(struct loop *loop);
/* Serve until loop_stop(). 0, or -errno of epoll_wait(). */
int loop_run(struct loop *loop) MUST_USE;
void loop_stop(struct loop *loop);
/* CLOCK_REALTIME, read once a turn at most. */
int64_t loop_realtime_ns(struct loop *loop);
/* For tests that report events themselves, and set `now_ns`. What is reported between the first two
 * is not alone. The end of a turn is that of its rounds, expired timers, and tasks. */
void loop_begin_rounds(struct loop *loop);
void loop_end_rounds(struct loop *loop);
void loop_end_turn(struct loop *loop);

/* Watch `watch->fd` for `events`. 0 or -errno. */
int loop_add(struct loop *loop, struct watch *watch, uint32_t events) MUST_USE;
int loop_change(struct loop *loop, struct watch *watch, uint32_t events) MUST_USE;
/* Stop watching; needed only if the descriptor stays open. */
void loop_remove(struct loop *loop, struct watch *watch);

void task_init(struct task *task, void (*run)(struct task *task));
/* Run the task at the end of the turn; it leaves the list that it is on. */
void loop_put_off(struct loop *loop, struct task *task);
/* The same in a round that is still to come. */
void loop_put_off_to_round(struct loop *loop, struct task *task, enum loop_round round);
/* Whether this round is still to come in the turn. */
static inline bool loop_comes_to(const struct loop *loop, enum loop_round round)
{
	return loop->round < round;
}

void timer_queue_init(struct loop *loop, struct timer_queue *queue, int64_t duration_ns);
void timer_init(struct timer *timer, void (*expired)(struct timer *timer));
/* Start or restart the timer; it expires once. */
void timer_start(struct loop *loop, struct timer_queue *queue, struct timer *timer);
void timer_stop(struct timer *timer);

#endif
