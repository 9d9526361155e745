/* SPDX-License-Identifier: MIT */
#include "identity/condition.h"

/* What most keys fail at, without a look at the conditions: there may be a thousand entries. */
static bool has_other_mark(const struct match *match, const struct key *key)
{
	return match->has_mark &&
	       (key == NULL || !key->usable || key_mark(key->digest) != match->mark);
}

enum match_result match_holds(const struct match *match, const struct sender *sender)
{
	enum match_result result = MATCH_YES;

	if (has_other_mark(match, sender->key)) {
		return MATCH_NO;
	}
	for (unsigned left = match->kinds; left != 0 && result != MATCH_NO; left &= left - 1) {
		const unsigned kind = (unsigned)__builtin_ctz(left);
		const enum match_result holds =
		        condition_holds(match->conditions[kind], kind, sender);
		result = holds == MATCH_YES ? result : holds;
	}
	return result;
}

bool match_misses_key(const struct match *match, const struct sender *sender)
{
	struct match others = *match;

	others.kinds &= ~(1U << CONDITION_KEY);
	others.has_mark = false;
	return match_has(match, CONDITION_KEY) && match_holds(&others, sender) != MATCH_NO;
}

static bool asks(const struct match *match, enum group group)
{
	bool any = false;

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		any = any || (match->conditions[i] != NULL && condition_rows[i].group == group);
	}
	return any;
}

bool match_asks_container(const struct match *match)
{
	return asks(match, GROUP_container);
}

/* The label by which a value is known; ptr NULL: by none. */
static struct slice label_of(enum condition_kind kind, const union condition_value *value)
{
	switch ((int)kind) {
	case CONDITION_LABEL:
		return value->label.name;
	case CONDITION_PROJECT:
		return condition_project_label;
	case CONDITION_SERVICE:
		return condition_service_label;
	default:
		return (struct slice){NULL, 0};
	}
}

bool match_can_be_made(const struct match *match,
        bool (*may_label)(const void *context, struct slice name), const void *context)
{
	bool can = true;

	for (unsigned kind = 0; can && kind < CONDITION_KINDS; kind++) {
		const struct condition *condition = match->conditions[kind];
		bool any = condition == NULL;
		for (unsigned i = 0; condition != NULL && i < condition->count; i++) {
			const struct slice label = label_of(kind, &condition->values[i]);
			any = any || label.ptr == NULL || may_label(context, label);
		}
		can = any;
	}
	return can;
}

bool match_asks_certificate(const struct match *match)
{
	return asks(match, GROUP_cert);
}

/* ── Comparing ───────────────────────────────────────────────────────────── */

/* Whether value `i` of `a` holds for everybody for whom value `j` of `b` does. Names
 * that are written in the same way are the same. */
static bool value_covers(enum condition_kind kind, const struct condition *a, unsigned i,
        const struct condition *b, unsigned j)
{
	const union condition_value *value = &a->values[i];
	const union condition_value *other = &b->values[j];

	switch (kind) {
	case CONDITION_LISTENER:
		return value->listener == other->listener;
	case CONDITION_UID:
	case CONDITION_GID:
		return value->number == other->number;
	case CONDITION_CIDR:
		return network_covers(&value->network, &other->network);
	case CONDITION_FINGERPRINT:
		return memcmp(value->fingerprint, other->fingerprint, sizeof(value->fingerprint)) ==
		       0;
	case CONDITION_DNS:
		return slice_equal_nocase(value->text, other->text);
	case CONDITION_KEY:
		return key_hash_equal(&value->key, &other->key);
	case CONDITION_LABEL:
		return slice_equal(value->label.name, other->label.name) &&
		       (value->label.value.ptr == NULL || strcmp(a->texts[i], b->texts[j]) == 0);
	case CONDITION_CN:
	case CONDITION_URI:
	case CONDITION_NAME:
	case CONDITION_IMAGE:
	case CONDITION_PROJECT:
	case CONDITION_SERVICE:
	case CONDITION_KINDS:
	default:
		return slice_equal(value->text, other->text);
	}
}

static bool condition_covers(
        enum condition_kind kind, const struct condition *a, const struct condition *b)
{
	bool all = b != NULL;

	for (unsigned j = 0; all && j < b->count; j++) {
		bool covered = false;
		for (unsigned i = 0; !covered && i < a->count; i++) {
			covered = value_covers(kind, a, i, b, j);
		}
		all = covered;
	}
	return all;
}

bool match_covers(const struct match *match, const struct match *other)
{
	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if (match->conditions[i] != NULL &&
		        !condition_covers(i, match->conditions[i], other->conditions[i])) {
			return false;
		}
	}
	return true;
}

bool match_is_at(const struct match *match, unsigned listener)
{
	const struct condition *condition = match->conditions[CONDITION_LISTENER];
	bool is = condition == NULL;

	for (unsigned i = 0; condition != NULL && i < condition->count; i++) {
		is = is || condition->values[i].listener == listener;
	}
	return is;
}

bool match_has_hash(const struct match *match, const struct key_hash *hash)
{
	const struct condition *condition = match->conditions[CONDITION_KEY];
	bool has = false;

	for (unsigned i = 0; condition != NULL && i < condition->count; i++) {
		has = has || key_hash_equal(&condition->values[i].key, hash);
	}
	return has;
}
