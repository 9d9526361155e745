/* SPDX-License-Identifier: MIT */
/*
 * loop — one thread's event loop: descriptors, timers, and work put off to the
 * end of a turn.
 *
 * Everything a loop serves belongs to its thread. An object that is released
 * during a turn must stay in memory until the turn ends, since the kernel may
 * have reported an event for it already: release it from a task.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/check.h"
#include "base/list.h"

#include <stdint.h>

struct loop {
	int epoll;       /* descriptor */
	int64_t now_ns;  /* monotonic, read once a turn */
	int64_t next_ns; /* no timer expires before */
	bool stopped;
	struct list tasks;
	struct list timer_queues;
};

/* A descriptor in the loop. `ready` gets the EPOLL* bits. */
struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};

/* Work for the end of this turn; may be put off again, then it runs in the next one. */
struct task {
	struct list link;
	void (*run)(struct task *task);
};

/* Timers that all run equally long, so that the list is in order of expiry. */
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
/* Serve until loop_stop(). 0 or -errno when the kernel refuses to wait. */
int loop_run(struct loop *loop) MUST_USE;
void loop_stop(struct loop *loop);
/* The end of a turn: the timers that have expired at `now_ns`, then the tasks. loop_run() calls it;
 * tests with a clock of their own call it directly. */
void loop_end_turn(struct loop *loop);

/* Watch `watch->fd` for `events`. 0 or -errno. */
int loop_add(struct loop *loop, struct watch *watch, uint32_t events) MUST_USE;
int loop_change(struct loop *loop, struct watch *watch, uint32_t events) MUST_USE;
/* Stop watching; needed only when the descriptor stays open. */
void loop_remove(struct loop *loop, struct watch *watch);

void task_init(struct task *task, void (*run)(struct task *task));
void loop_put_off(struct loop *loop, struct task *task);

void timer_queue_init(struct loop *loop, struct timer_queue *queue, int64_t duration_ns);
void timer_init(struct timer *timer, void (*expired)(struct timer *timer));
/* (Re)start; it expires once. */
void timer_start(struct loop *loop, struct timer_queue *queue, struct timer *timer);
void timer_stop(struct timer *timer);

#endif
