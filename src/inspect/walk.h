/* SPDX-License-Identifier: MIT */
/*
 * walk — one body on its way through the tables. Private to inspect/.
 */
#ifndef INSPECT_WALK_H
#define INSPECT_WALK_H

#include "inspect/set.h"

enum object {
#define OBJECT(name) OBJECT_##name,
#define FIELD(name, shape, type, check, key, fine)
#include "inspect/fields.def"
#undef OBJECT
#undef FIELD
	OBJECT_COUNT,
};

/* Of the value of a field. */
enum type {
#define OBJECT(name) TYPE_##name,
#define FIELD(name, shape, type, check, key, fine)
#include "inspect/fields.def"
#undef OBJECT
#undef FIELD
	TYPE_BOOLEAN,
	TYPE_INTEGER, /* of 64 bits, with a sign */
	TYPE_NUMBER,
	TYPE_TEXT,
	TYPE_TEXTS, /* a text, or a list of them */
	TYPE_VALUE, /* anything; it is not looked into */
};

struct walk;

/* A row of fields.def or of operations.def. */
struct row {
	struct slice name;
	const char *shape;
	/* Called for each value of the field; NULL: any value is allowed. */
	void (*check)(struct walk *walk, const struct row *row, const struct json_node *value);
	const char *fine;
	enum type type;
	unsigned key;
};

/* A container that has begun and not ended. */
struct frame {
	const struct json_node *node;
	const struct row *row;  /* whose value it is, or a part of it */
	const char *shape;      /* what is left of the row's: of the elements */
	const struct row *next; /* of an object of the tables: the row to try first; else NULL */
};

/* An endpoint for each network that was asked about, and the labels. */
enum { WALK_ADDITIONS_MAX = SCOPE_STAMPS_MAX + 2 * SCOPE_ANSWERS_MAX };

struct walk {
	const struct constraints *constraints;
	const struct docker_request *request;
	struct slice query;
	struct slice place;     /* a word that stands for a pointer; ptr NULL: none */
	struct slice parameter; /* of the query, whose value is walked; ptr NULL: none */
	struct text spelled;    /* memory of decoded parameters */
	bool update;            /* the body changes a container: what it does not name stays */
	struct findings *findings;
	const struct json_node *at; /* the value that is looked at */
	struct slice member;        /* of `at`, which may be missing; ptr NULL: `at` itself */
	struct json_node *nodes;    /* of the document; only walk_redirect() changes them */
	struct text redirected;     /* texts that replace others */
	struct scope_view *view;    /* of the objects that the body names */
	struct scope_view *engine;  /* see struct findings */
	struct text members;        /* texts of the additions */
	struct json_addition additions[WALK_ADDITIONS_MAX];
	unsigned addition_count;
	struct frame frames[JSON_DEPTH_MAX];
	unsigned depth;
};

/* Add a finding about the value at which the walk is. `problem`: NULL, or a literal. */
void walk_find(struct walk *walk, const struct row *row, struct slice word, const char *problem);
/* The same where the pointer goes on to a member of the value, "Source", or "Limits/Pids" in one.
 */
void walk_find_in(struct walk *walk, const struct row *row, const char *member, struct slice word,
        const char *problem);

/* Put `before`, `text` and `behind` in place of a text of the document. False: there is no room. */
bool walk_redirect(struct walk *walk, const struct json_node *value, struct slice before,
        struct slice text, struct slice behind);

/* What is known of an object, which must be in the scope; see scope_look(). */
enum scope_answer walk_look(
        struct walk *walk, enum scope_kind kind, struct slice reference, struct slice *ret_id);
/* The value names an object, which must be in the scope. */
void walk_refer(struct walk *walk, enum scope_kind kind, struct slice reference);
/*
 * The text of `value` names a container at `reference`, a part of it: the full id takes its place,
 * so that the container is the one that was looked at. Empty: it names none.
 */
void walk_refer_container(struct walk *walk, const struct json_node *value, struct slice reference);
/* The whole text of `value` names a container, and is its alias too: both take its place. */
void walk_refer_alone(struct walk *walk, const struct json_node *value);

/* Add members to an object, or to a null, which becomes one. False: there is no room. */
bool walk_add(struct walk *walk, const struct json_node *object, struct slice members);

/* ── The functions of the column `check`, each in the file of its subject ── */

#define CHECK(name)                                                                                \
	void check_##name(struct walk *walk, const struct row *row, const struct json_node *value)
CHECK(ARCHIVE);      /* of a query: the path that is copied */
CHECK(ATTACH);       /* any, if the key allows it */
CHECK(ATTACHMENT);   /* the network of a service; NULL where it is missing */
CHECK(BIND);         /* of HostConfig.Binds: "source:target:options" */
CHECK(BLOCK_DEVICE); /* a path of a device whose use is limited */
CHECK(BUILD_MODE);   /* the network of the steps of a build */
CHECK(CAPABILITY);   /* a capability */
CHECK(CLOSED);       /* a value that is allowed only if the key allows anything */
CHECK(COMMAND);      /* words of a command */
CHECK(COMMIT);       /* of a query: the name that the new image gets */
CHECK(COMMITTED);    /* of a body: the configuration of the new image */
CHECK(CONFIG_ID);    /* a config of a swarm */
CHECK(COLUMNS);      /* of a query: arguments of ps that choose no columns */
CHECK(CONTAINER);    /* a name of a container, before a mode */
CHECK(CREATION);     /* HostConfig, or NULL: what must be there */
CHECK(DEVICE);       /* DeviceMapping as a whole */
CHECK(EXPORT);       /* any, if the key allows the root directory */
CHECK(HOSTS);        /* an address and its names, separated by blanks */
CHECK(IMPORT);       /* any, if the key allows it */
CHECK(JOIN);         /* the network in the path */
CHECK(LIMIT_NAME);   /* a name of a resource limit */
CHECK(LINK);         /* a container and a name for it */
CHECK(MEMBER);       /* a container that joins or leaves a network */
CHECK(LOAD);         /* any, if the key allows it */
CHECK(LIMITS);       /* limits that HostConfig, or an update, sets */
CHECK(MODE);         /* the network of a container */
CHECK(DROPPED);      /* what only clients need: the Engine gets an empty text */
CHECK(MOUNT);        /* mount.Mount as a whole */
CHECK(MOUNTED);      /* options of what is mounted at the name */
CHECK(NAME);         /* the name under which the value stands */
CHECK(NETWORK);      /* the same, of a network */
CHECK(NETWORK_ID);   /* a network, if it is not empty */
CHECK(NEW_NETWORK);  /* the name of a network that is made */
CHECK(NEW_VOLUME);   /* the name of a volume that is made */
CHECK(NAMESPACE);    /* as PREFIXED, of a mode of a namespace */
CHECK(NEEDED);       /* a word; NULL where it is missing */
CHECK(NEGATIVE);     /* a number that is 0 or above unless the key allows anything */
CHECK(OPTION);       /* a list of a name and a value */
CHECK(OPTIONS);      /* options, separated by commas */
CHECK(PLUGIN);       /* any, if the key allows it */
CHECK(PORT);         /* PortBinding as a whole, or PublishAllPorts */
CHECK(PREFIXED);     /* a word behind the first word of `fine`, up to its last '=' or ':' */
CHECK(PUBLISHED);    /* PortConfig of a service as a whole */
CHECK(PULL);         /* of a query: the image that is pulled */
CHECK(PUSH);         /* of a path and a query: the image that is pushed */
CHECK(ROLLBACK);     /* of a query: nothing that was not looked at comes back */
CHECK(SECRET);       /* as CLOSED, of a value that may hold a password */
CHECK(SECRET_ID);    /* a secret of a swarm */
CHECK(SECURITY);     /* a security option */
CHECK(SERVICE);      /* ServiceSpec as a whole */
CHECK(SWARM);        /* any, if the key allows it */
CHECK(TAG);          /* of a query: the name that an image gets */
CHECK(TEMPLATE);     /* a network whose configuration another one takes */
CHECK(TARGET);       /* a path in the container */
CHECK(TASK);         /* TaskSpec, or NULL: what must be there */
CHECK(UNLABELLED);   /* a switch that puts a container outside of SELinux */
CHECK(USER);         /* a user and a group, also where they are missing */
CHECK(VARIABLE);     /* NAME=value */
CHECK(VOLUME);       /* a volume that has no driver of its own */
CHECK(VOLUME_LABEL); /* a label of a volume without a name */
CHECK(WORD);         /* a word */
#undef CHECK

#endif
