/* SPDX-License-Identifier: MIT */
/*
 * check — what the functions of the column `check` share. Private to inspect/.
 */
#ifndef INSPECT_CHECK_H
#define INSPECT_CHECK_H

#include "inspect/walk.h"

#define CHECK(name)                                                                                \
	void check_##name(struct walk *walk, const struct row *row, const struct json_node *value)

/* The text of a value; empty where it is missing, null or no text. */
static inline struct slice text_of(const struct json_node *value)
{
	return value != NULL && value->type == JSON_STRING ? value->text : (struct slice){"", 0};
}

static inline const struct set *set_of(const struct walk *walk, unsigned key)
{
	return &walk->constraints->sets[key];
}

static inline bool allows(const struct walk *walk, const struct row *row, struct slice word)
{
	return word_is_in(word, row->fine) ||
	       set_has(&inspect_keys[row->key], set_of(walk, row->key), word);
}

static inline void require_word(struct walk *walk, const struct row *row, struct slice word)
{
	if (!allows(walk, row, word)) {
		walk_find(walk, row, word, NULL);
	}
}

/* Whether the value is one of those in a list or map: the Engine acts on it, even if it is empty.
 */
static inline bool is_element(const struct row *row)
{
	return row->shape[0] != '\0';
}

/* The key `networks`, for networks that no row names. */
static const struct row network_row = {.key = KEY_CREATE_networks, .fine = "none"};

/* networks.c: the endpoint in the body of a connection gets the id of the network in the path. */
void pin_connection(struct walk *walk, const struct json_node *connection);

/* networks.c: require that a port is published. An empty address: all; an empty port: any. */
void require_port(
        struct walk *walk, const struct row *row, struct slice address, struct slice port);

#endif
