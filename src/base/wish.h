/* SPDX-License-Identifier: MIT */
/*
 * wish — something that somebody waits for. Its end is told once, in the thread that made it.
 */
#ifndef BASE_WISH_H
#define BASE_WISH_H

#include "base/check.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct wish {
	struct list link;
	uint64_t about; /* which one of several is meant, if there are several */
	/* `text`: a sentence about how it ended; NULL: there is none. The wish may be freed. */
	void (*done)(struct wish *wish, bool ok, const char *text);
};

static inline void wish_init(
        struct wish *wish, void (*done)(struct wish *wish, bool ok, const char *text))
{
	list_init(&wish->link);
	wish->done = done;
}

/* Take it back: it is told nothing. */
static inline void wish_forget(struct wish *wish)
{
	list_remove(&wish->link);
}

/* Tell all of them. */
static inline void wishes_tell(struct list *wishes, bool ok, const char *text)
{
	while (!list_empty(wishes)) {
		struct wish *wish = CONTAINER_OF(wishes->next, struct wish, link);
		list_remove(&wish->link);
		wish->done(wish, ok, text);
	}
}

#endif
