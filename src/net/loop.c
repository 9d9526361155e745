/* SPDX-License-Identifier: MIT */
#include "net/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	EVENTS_PER_TURN = 256,
	/* More of them in one round cost no less, and the first waits for the last. */
	EVENTS_PER_ROUND = 32,
	FETCHED_LINES = 7, /* of what a watch is a part of */
};

int loop_init(struct loop *loop)
{
	*loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .round = ROUND_LAST};
	if (loop->epoll < 0) {
		return -errno;
	}
	loop->now_ns = clock_monotonic_ns();
	loop->next_ns = INT64_MAX;
	list_init(&loop->tasks);
	list_init(&loop->timer_queues);
	for (unsigned round = 0; round < ROUNDS; round++) {
		list_init(&loop->rounds[round]);
	}
	return 0;
}

void loop_done(struct loop *loop)
{
	(void)close(loop->epoll);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

int64_t loop_realtime_ns(struct loop *loop)
{
	if (loop->realtime_ns == 0) {
		loop->realtime_ns = clock_realtime_ns();
	}
	return loop->realtime_ns;
}

static int control(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = watch}};

	return epoll_ctl(loop->epoll, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	(void)control(loop, EPOLL_CTL_DEL, watch, 0);
}

void task_init(struct task *task, void (*run)(struct task *task))
{
	list_init(&task->link);
	task->run = run;
}

void loop_put_off(struct loop *loop, struct task *task)
{
	list_remove(&task->link);
	list_append(&loop->tasks, &task->link);
}

void loop_put_off_to_round(struct loop *loop, struct task *task, enum loop_round round)
{
	ASSERT(loop_comes_to(loop, round));
	list_remove(&task->link);
	list_append(&loop->rounds[round], &task->link);
}

/* Only those that wait now: what they put off in turn belongs to the next round or turn. */
static void run_tasks(struct list *tasks)
{
	struct list batch;

	if (list_empty(tasks)) {
		return;
	}
	list_insert_between(&batch, tasks->prev, tasks->next);
	list_init(tasks);
	while (!list_empty(&batch)) {
		struct task *task = CONTAINER_OF(batch.next, struct task, link);
		list_remove(&task->link);
		task->run(task);
	}
}

void timer_queue_init(struct loop *loop, struct timer_queue *queue, int64_t duration_ns)
{
	list_init(&queue->timers);
	queue->duration_ns = duration_ns;
	list_init(&queue->link);
	list_append(&loop->timer_queues, &queue->link);
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	list_init(&timer->link);
	timer->expired = expired;
}

void timer_start(struct loop *loop, struct timer_queue *queue, struct timer *timer)
{
	timer->expires_ns = loop->now_ns + queue->duration_ns;
	loop->next_ns = timer->expires_ns < loop->next_ns ? timer->expires_ns : loop->next_ns;
	list_remove(&timer->link);
	list_append(&queue->timers, &timer->link);
}

void timer_stop(struct timer *timer)
{
	list_remove(&timer->link);
}

static struct timer *first_timer(const struct timer_queue *queue)
{
	return list_empty(&queue->timers) ? NULL
	                                  : CONTAINER_OF(queue->timers.next, struct timer, link);
}

static void run_queue(struct loop *loop, const struct timer_queue *queue)
{
	struct timer *timer = first_timer(queue);

	while (timer != NULL && timer->expires_ns <= loop->now_ns) {
		timer_stop(timer);
		timer->expired(timer);
		timer = first_timer(queue);
	}
}

/*
 * A timer that is stopped leaves `next_ns` as it is, since most are, long
 * before they expire: the loop may wake up once for nothing, and finds the
 * next one then.
 */
static void run_timers(struct loop *loop)
{
	if (LIKELY(loop->now_ns < loop->next_ns)) {
		return;
	}
	for (struct list *at = loop->timer_queues.next; at != &loop->timer_queues; at = at->next) {
		run_queue(loop, CONTAINER_OF(at, struct timer_queue, link));
	}
	loop->next_ns = INT64_MAX;
	for (struct list *at = loop->timer_queues.next; at != &loop->timer_queues; at = at->next) {
		const struct timer *timer = first_timer(CONTAINER_OF(at, struct timer_queue, link));
		if (timer != NULL && timer->expires_ns < loop->next_ns) {
			loop->next_ns = timer->expires_ns;
		}
	}
}

/* Milliseconds until the next timer, rounded up; -1 without one, 0 with tasks at hand. */
static int wait_ms(const struct loop *loop)
{
	if (!list_empty(&loop->tasks)) {
		return 0;
	}
	if (loop->next_ns == INT64_MAX) {
		return -1;
	}
	const int64_t wait_ns = loop->next_ns > loop->now_ns ? loop->next_ns - loop->now_ns : 0;
	const int64_t ms = (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What served others meanwhile has taken it out of the processor's caches. */
static inline void fetch(const char *watch)
{
	for (int i = 0; i < FETCHED_LINES; i++) {
		__builtin_prefetch(watch + i * CACHE_LINE, 1);
	}
}

static void report(const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;
		if (i + 1 < count) {
			fetch(events[i + 1].data.ptr);
		}
		if (watch->fd >= 0) { /* closed by an earlier event of this turn */
			watch->ready(watch, events[i].events);
		}
	}
}

void loop_begin_rounds(struct loop *loop)
{
	loop->round = ROUND_READ;
}

void loop_end_rounds(struct loop *loop)
{
	while (loop->round < ROUND_LAST) {
		loop->round++;
		run_tasks(&loop->rounds[loop->round]);
	}
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int from = 0; from < count; from += EVENTS_PER_ROUND) {
		const int rest = count - from;
		const int part = rest < EVENTS_PER_ROUND ? rest : EVENTS_PER_ROUND;
		if (part > 1) {
			loop_begin_rounds(loop);
		}
		report(events + from, part);
		loop_end_rounds(loop);
	}
}

void loop_end_turn(struct loop *loop)
{
	loop_end_rounds(loop);
	run_timers(loop);
	run_tasks(&loop->tasks);
	loop->realtime_ns = 0;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_TURN];

	while (!loop->stopped) {
		const int count = epoll_wait(loop->epoll, events, EVENTS_PER_TURN, wait_ms(loop));
		if (count < 0 && errno != EINTR) {
			return -errno;
		}
		loop->now_ns = clock_monotonic_ns();
		dispatch(loop, events, count);
		loop_end_turn(loop);
	}
	run_tasks(&loop->tasks); /* what the last turn released */
	return 0;
}
