/* SPDX-License-Identifier: MIT */
/*
 * set — the value of a key: which words of a body it allows. Private to inspect/.
 */
#ifndef INSPECT_SET_H
#define INSPECT_SET_H

#include "docker/image.h"
#include "inspect/inspect.h"

enum key_kind {
	KIND_CHOICE,       /* one of the words in `choices` */
	KIND_WORDS,        /* globs, where a star stands for any characters; `!glob` takes away */
	KIND_SUBNETS,      /* ADDRESS/BITS; each stands for its parts too */
	KIND_NETWORKS,     /* like KIND_WORDS; ids only where written in full */
	KIND_IMAGES,       /* globs for normalised references; a star does not stand for slashes */
	KIND_PATHS,        /* absolute paths; each stands for everything below it too */
	KIND_CAPABILITIES, /* names, with or without CAP_, in any case */
	KIND_COMMANDS,     /* globs for each word of a command, separated by spaces */
	KIND_REQUIRE,      /* a map of limits; see struct limits */
	KIND_SOCKET,       /* the address of a unix listener */
};

struct key {
	enum inspect_block block;
	enum key_kind kind;
	const char *name;
	const char *choices;
	const char *standard;
	const char *guarded;
	const char *root;
	const char *what;
};

enum key_number {
#define KEY(block, name, kind, choices, standard, guarded, root, what) KEY_##block##_##name,
#include "inspect/keys.def"
#undef KEY
	KEY_COUNT,
	KEY_ANYTHING = KEY_COUNT, /* of fields that are harmless */
};

extern const struct key inspect_keys[KEY_COUNT];

struct set {
	bool any; /* but guarded words */
	bool all; /* and these too */
	unsigned count;
	const struct slice *patterns; /* of KIND_IMAGES and KIND_CAPABILITIES: normalised */
	bool workspace;               /* the file has $WORKSPACE, for which the patterns stand */
	bool workspace_is_missing;    /* it stands for nothing */
};

enum {
	PATTERN_MAX = 255, /* bytes */
	ULIMITS_MAX = 16,
};

/* The key `require`. 0: not required. */
struct limits {
	int64_t memory; /* bytes */
	int64_t cpus;   /* in 10^-9 */
	int64_t pids;
	unsigned ulimit_count;
	struct {
		struct slice name;
		int64_t most;
	} ulimits[ULIMITS_MAX];
};

struct constraints {
	enum inspect_block block;
	struct place place;
	bool is_preset;             /* see struct inspect_setting */
	struct set sets[KEY_COUNT]; /* those of other blocks are empty */
	bool written[KEY_COUNT];    /* the file names the key */
	struct limits limits;
};

/* Append the name of a key and its value: "volumes named". */
void key_add_value(const struct constraints *constraints, unsigned number, struct text *text);

enum way_to_root {
	ROOT_NEVER,
	ROOT_LATER, /* by a symbolic link that is made when the container is there already */
	ROOT_AT_ONCE,
};

/*
 * Whether a key that also allows `word` is enough to become root on the host, beside the other keys
 * of the block. `sees_host` as for constraints_add_root().
 */
enum way_to_root key_opens_root(
        const struct constraints *constraints, unsigned number, struct slice word, bool sees_host);

/* Read the value of a key from YAML, or its `standard`; `workspace` as in struct inspect_setting.
 */
int set_read(const struct key *key, const struct yaml_node *value, struct slice workspace,
        struct arena *arena, struct set *ret_set, char error[FAULT_MAX]) MUST_USE;
int limits_read(const struct yaml_node *value, struct arena *arena, struct limits *ret_limits,
        char error[FAULT_MAX]) MUST_USE;

/* Whether a word of a body, in the spelling of the kind, is one that the key allows. */
bool set_has(const struct key *key, const struct set *set, struct slice word);
/* Whether the word itself is a pattern of the set. */
bool set_names(const struct set *set, struct slice word);
/* Whether a command, whose words are `count` nodes from `first` on, is. */
bool set_has_command(const struct set *set, const struct json_node *list);

/* A pattern as it is shown. */
struct slice set_shown(const struct key *key, const struct set *set, unsigned number);

/* ── Spellings ───────────────────────────────────────────────────────────── */

/* "cap_sys_admin" as "SYS_ADMIN". */
void word_add_capability(struct slice name, struct text *text);
/* Whether it has a comma, a colon, a quote or a control byte, at which podman splits words. */
bool word_has_separator(struct slice word);
/* Whether clients look for the Engine's socket there. */
bool path_is_engine(struct slice path);
/* Whether it is a name of a volume: [a-zA-Z0-9][a-zA-Z0-9_.-]* */
bool word_is_volume(struct slice name);
/* Whether an Engine or a swarm may take it for an id of a network, or for the beginning of one. */
bool word_may_be_network_id(struct slice word);
/* Whether `word` is one of those in `list`, separated by spaces; an empty one never is. */
bool word_is_in(struct slice word, const char *list);

#endif
