/* SPDX-License-Identifier: MIT */
/*
 * condition — one condition of an entry of `clients:`: the row of conditions.def that says how its
 * values are read and what they fit. For match*.c alone.
 */
#ifndef IDENTITY_CONDITION_H
#define IDENTITY_CONDITION_H

#include "address/network.h"
#include "identity/certificate.h"
#include "identity/match.h"

union condition_value {
	unsigned listener; /* its index */
	uint32_t number;
	struct network network;
	struct key_hash key;
	struct slice text;
	unsigned char fingerprint[CERTIFICATE_FINGERPRINT_LEN];
	struct container_label label; /* value.ptr NULL: any value */
};

struct condition {
	struct place place;
	unsigned count;
	union condition_value *values;
	const char **texts; /* the values as they are written; of keys NULL */
};

/* What the values are read with. */
struct condition_reader {
	const struct match_names *names;
	struct arena *arena;
	struct match *match;
	char *error;
};

/* The map that holds the key. */
enum group {
	GROUP_match,
	GROUP_cert,
	GROUP_container,
	GROUPS,
};

/* The groups by the keys of their maps. */
extern const char *const condition_groups[GROUPS];

extern const struct condition_row {
	const char *key;
	const char *name;  /* in messages */
	const char *words; /* what is accepted, as the end of a sentence */
	/* NULL; or the fault, as the end of a sentence. */
	const char *(*read)(const struct condition_reader *reader, struct slice text,
	        union condition_value *ret_value);
	bool (*fits)(const union condition_value *value, const struct sender *sender);
	enum group group;
	bool shows; /* a value is shown as it is written */
} condition_rows[CONDITION_KINDS];

/* The labels by which projects and services are known. */
extern const struct slice condition_project_label;
extern const struct slice condition_service_label;

/* Whether one of the values fits; unknown if the container decides, and was not asked for. */
enum match_result condition_holds(
        const struct condition *condition, enum condition_kind kind, const struct sender *sender);

#endif
