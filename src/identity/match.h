/* SPDX-License-Identifier: MIT */
/*
 * match — the conditions of an entry of `clients:`, all of which must hold.
 *
 * Each condition is a row of conditions.def, with one or several values; it holds if one of them
 * fits. Pure: what is not known of a client yet is UNKNOWN, and the caller asks for it.
 */
#ifndef IDENTITY_MATCH_H
#define IDENTITY_MATCH_H

#include "base/arena.h"
#include "identity/container.h"
#include "identity/identity.h"
#include "identity/key.h"
#include "yaml/yaml.h"

enum {
	MATCH_VALUES_MAX = 256, /* of one condition */
};

enum condition_kind {
#define CONDITION(kind, ...) CONDITION_##kind,
#include "identity/conditions.def"
#undef CONDITION
	CONDITION_KINDS,
};

/* What is known of the sender of a request. */
struct sender {
	const struct caller *caller;
	unsigned engine;                   /* that the request means; ENGINE_ANY: see clients.h */
	const struct key *key;             /* NULL: the request presents none */
	int64_t now_s;                     /* seconds since 1970-01-01T00:00:00Z */
	const struct container *container; /* that the sender runs in; NULL: none */
	bool container_asked;              /* the Engine was asked for it */
};

enum match_result {
	MATCH_NO,
	MATCH_YES,
	MATCH_UNKNOWN, /* the container decides, and the Engine was not asked yet */
};

struct condition;

struct match {
	const struct condition *conditions[CONDITION_KINDS]; /* by kind; NULL: there is none */
	unsigned kinds; /* those that there are: bits, 1 << enum condition_kind */
	bool has_mark;  /* one of them is a single hash without salt: */
	uint64_t mark;  /* of this hash: key_mark() */
};

/* The names of listeners, by their indices; NULL: the listener has none. */
struct match_names {
	const char *const *listeners;
	unsigned listener_count;
};

extern const struct yaml_shape match_shape;

/* Read `{cidr: [192.0.2.0/24], …}`. 0; or -EINVAL and `error`. */
int match_read(const struct yaml_node *map, const struct match_names *names, struct arena *arena,
        struct match *ret_match, char error[FAULT_MAX]) MUST_USE;

/* The one condition that a key has this hash. 0; or -EINVAL without memory. */
int match_key(const struct key_hash *hash, struct place place, struct arena *arena,
        struct match *ret_match) MUST_USE;

/* The one condition that the container of the client has this label. The texts must outlive the
 * match. 0; or -EINVAL without memory. */
int match_label(struct container_label label, struct place place, struct arena *arena,
        struct match *ret_match) MUST_USE;

/* Whether all conditions hold. */
enum match_result match_holds(const struct match *match, const struct sender *sender);
/* Whether all conditions hold but for the key. */
bool match_misses_key(const struct match *match, const struct sender *sender);
/* Whether it can hold at the listener of this index. */
bool match_is_at(const struct match *match, unsigned listener);
/* Whether a key with this hash is a condition. */
bool match_has_hash(const struct match *match, const struct key_hash *hash);
/* Whether `match` holds for everybody for whom `other` holds. True only where the values prove it:
 * nothing is known of a key behind two different hashes. */
bool match_covers(const struct match *match, const struct match *other);
/* Whether there is a condition about the sender's container. */
bool match_asks_container(const struct match *match);
/* Whether the conditions about the container hold for one that somebody creates who may give it
 * names, images, and those labels for whose names `may_label` is true. */
bool match_can_be_made(const struct match *match,
        bool (*may_label)(const void *context, struct slice name), const void *context);
/* Whether there is one about the sender's certificate. */
bool match_asks_certificate(const struct match *match);
static inline bool match_has(const struct match *match, enum condition_kind kind)
{
	return match->conditions[kind] != NULL;
}

/* Append "cidr 192.0.2.0/24 or 198.51.100.0/24, uid 0". Of keys only that there is one. */
void match_add(const struct match *match, struct text *text);
/* Append the conditions as YAML, from which match_read() reads the same: {cidr: ['192.0.2.0/24']}.
 */
void match_write(const struct match *match, struct text *text);
/* Append the words for the bits of `kinds`: "cidr, key". */
void match_add_kinds(unsigned kinds, struct text *text);
/* Append the conditions that do not hold, in the same words. */
void match_add_missed(const struct match *match, const struct sender *sender, struct text *text);
/* Append what is known of the sender beside its address, in the same words: "uid 1000, gid 1000",
 * "certificate CN ops". Nothing of a key. Nothing if no more is known. */
void sender_add(const struct sender *sender, struct text *text);

#endif
