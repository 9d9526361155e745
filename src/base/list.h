/* SPDX-License-Identifier: MIT */
/*
 * list — intrusive doubly linked list; the links live in the objects.
 *
 * An object is on at most one list per link. A link that is on no list points
 * to itself, so list_remove() may always be called.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

static inline void list_insert_between(struct list *link, struct list *prev, struct list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_append(struct list *list, struct list *link)
{
	list_insert_between(link, list->prev, list);
}

static inline void list_prepend(struct list *list, struct list *link)
{
	list_insert_between(link, list, list->next);
}

#endif
