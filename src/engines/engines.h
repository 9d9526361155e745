/* SPDX-License-Identifier: MIT */
/*
 * engines — the Engines of a configuration as numbers, and which of them a request means.
 *
 * Number 0 is the Engine of `upstream`, called `default`. The others are the entries of `engines:`
 * in their order; a group of Engines is an entry with members. Pure.
 *
 * A request names its Engine by the front of its path, /engines/NAME, or by the name that its
 * client asks for in TLS (SNI). The front is recognised only where it is spelt plainly. A path that
 * some reader could take for one that names an Engine is refused, so that no two readers find two
 * Engines.
 */
#ifndef ENGINES_ENGINES_H
#define ENGINES_ENGINES_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

enum {
	ENGINES_MAX = 4096, /* entries of `engines:` */
	ENGINE_NAME_MAX = 64,
	ENGINE_MEMBERS_MIN = 2,
	ENGINE_MEMBERS_MAX = 8,  /* of a group */
	ENGINE_SERVERS_MAX = 16, /* names of one Engine in TLS */
	ENGINE_SERVER_LEN_MAX = 253,
	ENGINE_WORDS_MAX = (ENGINES_MAX + 1 + 63) / 64, /* of a set's bits */
	ENGINE_DEFAULT = 0,                             /* the number of that of `upstream` */
	ENGINE_ANY = UINT16_MAX - 1,                    /* no certain one */
	ENGINE_NONE = UINT16_MAX,
};

/* What the Engine of `upstream` is called. */
#define ENGINE_DEFAULT_NAME "default"

struct engine_row {
	const char *name;
	unsigned member_count;                /* 0: it is no group */
	uint16_t members[ENGINE_MEMBERS_MAX]; /* numbers, the first that is asked in front */
	unsigned server_count;
	const char *servers[ENGINE_SERVERS_MAX]; /* by which TLS clients name it */
};

/* Immutable after engines_index(). */
struct engines {
	unsigned count; /* with number 0 */
	const struct engine_row *list;
	bool has_default; /* number 0 is there */
	bool has_servers; /* one of them has a name in TLS */
	/* Numbers by the hashes of their names; ENGINE_NONE: the place is free. */
	const uint16_t *by_name, *by_server;
	uint32_t name_mask, server_mask;
};

/* Make the tables by which names are found; `count`, `list` and `has_default` are set. 0; or
 * -ENOMEM, which the arena remembers. */
int engines_index(struct engines *engines, struct arena *arena) MUST_USE;

/* The number of the Engine with this name; ENGINE_NONE: there is none. */
unsigned engines_find(const struct engines *engines, struct slice name);
/* The same by a name that TLS clients ask for, whatever the case of its letters. */
unsigned engines_find_server(const struct engines *engines, struct slice server);

/* The fault of a name, as the end of a sentence; NULL if it has none. */
const char *engine_name_problem(struct slice name);
/* The same of a name in TLS. */
const char *engine_server_problem(struct slice server);

/* ── Sets ────────────────────────────────────────────────────────────────── */

/* The Engines that a setting allows. */
struct engine_set {
	bool all;             /* that there are */
	unsigned words;       /* of `bits` */
	const uint64_t *bits; /* by number; not read if all are in it */
};

/* How many words of bits a set of these Engines has. */
static inline unsigned engine_set_words(const struct engines *engines)
{
	return (engines->count + 63) / 64;
}

/* ENGINE_NONE is in no set. */
static inline bool engine_set_has(const struct engine_set *set, unsigned engine)
{
	return engine <= ENGINES_MAX &&
	       (set->all || (engine / 64 < set->words &&
	                            (set->bits[engine / 64] >> (engine % 64) & 1) != 0));
}

/* Whether every Engine of `other` is in `set`; NULL: all are. */
bool engine_set_covers(const struct engine_set *set, const struct engine_set *other);
/*
 * The Engines that are in both sets, of which each may be NULL for all; NULL: all are. *ret_both
 * may be one of the two. 0; or -ENOMEM, which the arena remembers.
 */
int engine_set_join(const struct engine_set *set, const struct engine_set *other,
        struct arena *arena, const struct engine_set **ret_both) MUST_USE;
/* Whether no Engine is in it. */
bool engine_set_is_empty(const struct engine_set *set);
/* Append the names of those in it: "node-a, web"; "all" of a set of all. */
void engine_set_add(const struct engine_set *set, const struct engines *engines, struct text *text);

/* ── Paths ───────────────────────────────────────────────────────────────── */

enum engine_path {
	ENGINE_PATH_PLAIN,     /* it names no Engine */
	ENGINE_PATH_NAMED,     /* it names one */
	ENGINE_PATH_LIST,      /* /engines */
	ENGINE_PATH_AMBIGUOUS, /* some reader could take it for one of the two */
};

/*
 * Split a path as it was sent, up to its query. *ret_name: what follows /engines/. *ret_rest: the
 * path for that Engine, which begins with a slash; `path` itself if it names none.
 */
enum engine_path engines_split(struct slice path, struct slice *ret_name, struct slice *ret_rest);

#endif
