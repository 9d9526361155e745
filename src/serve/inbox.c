/* SPDX-License-Identifier: MIT */
#include "serve/internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct {
	void (*take)(struct thread *thread, void *message);
	void (*discard)(void *message);
} kinds[INBOX_KINDS] = {
#define MESSAGE(kind, take, discard) [INBOX_##kind] = {thread_##take, message_##discard},
#include "serve/messages.def"
#undef MESSAGE
};

static void inbox_ready(struct watch *watch, uint32_t events)
{
	struct inbox *inbox = CONTAINER_OF(watch, struct inbox, watch);
	eventfd_t count;

	(void)events;
	(void)eventfd_read(watch->fd, &count); /* before the slots: what comes later wakes again */
	for (unsigned kind = 0; kind < INBOX_KINDS; kind++) {
		void *message = atomic_exchange(&inbox->slots[kind], NULL);
		if (message != NULL) {
			kinds[kind].take(CONTAINER_OF(inbox, struct thread, inbox), message);
		}
	}
}

int inbox_init(struct inbox *inbox, struct loop *loop)
{
	inbox->watch =
	        (struct watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = inbox_ready};
	return inbox->watch.fd < 0 ? -errno : loop_add(loop, &inbox->watch, EPOLLIN);
}

/* Put a message, or NULL, into a slot, in place of an unread one. */
static void replace(struct inbox *inbox, enum inbox_kind kind, void *message)
{
	void *unread = atomic_exchange(&inbox->slots[kind], message);

	if (unread != NULL) {
		kinds[kind].discard(unread);
	}
}

void inbox_done(struct inbox *inbox)
{
	for (unsigned kind = 0; kind < INBOX_KINDS; kind++) {
		replace(inbox, kind, NULL);
	}
	(void)close(inbox->watch.fd);
}

void inbox_post(struct inbox *inbox, enum inbox_kind kind, void *message)
{
	replace(inbox, kind, message);
	(void)eventfd_write(inbox->watch.fd, 1);
}
