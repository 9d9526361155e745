/* SPDX-License-Identifier: MIT */
#include "identity/condition.h"

#include "yaml/write.h"

#include <stdio.h>

static void add_condition(
        const struct condition *condition, const struct condition_row *row, struct text *text)
{
	if (!row->shows) {
		text_add(text, slice_of(row->name));
		return;
	}
	text_add_format(text, "%s %s", row->name, condition->texts[0]);
	for (unsigned i = 1; i < condition->count; i++) {
		text_add_format(text, " or %s", condition->texts[i]);
	}
}

static void add_conditions(
        const struct match *match, const struct sender *missed_by, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		const struct condition *condition = match->conditions[i];
		if (condition == NULL || (missed_by != NULL && condition_holds(condition, i,
		                                                       missed_by) == MATCH_YES)) {
			continue;
		}
		text_add_format(text, "%s", separator);
		add_condition(condition, &condition_rows[i], text);
		separator = ", ";
	}
}

void match_add_kinds(unsigned kinds, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if ((kinds & 1U << i) != 0) {
			text_add_format(text, "%s%s", separator, condition_rows[i].name);
			separator = ", ";
		}
	}
}

static void write_value(const struct condition *condition, const struct condition_row *row,
        unsigned i, struct text *text)
{
	char memory[KEY_HASH_TEXT_MAX];
	struct text hash = text_over(memory, sizeof(memory));

	if (row->shows) {
		yaml_add_quoted(text, slice_of(condition->texts[i]));
	} else {
		key_hash_add(&condition->values[i].key, &hash);
		yaml_add_quoted(text, text_slice(&hash));
	}
}

static void write_condition(
        const struct condition *condition, const struct condition_row *row, struct text *text)
{
	text_add_format(text, "%s: [", row->key);
	for (unsigned i = 0; i < condition->count; i++) {
		text_add(text, i > 0 ? SLICE(", ") : SLICE(""));
		write_value(condition, row, i, text);
	}
	text_add(text, SLICE("]"));
}

/* The conditions of a group, the first behind `lead` and the others behind commas. Whether there
 * are any. */
static bool write_group(
        const struct match *match, enum group group, const char *lead, struct text *text)
{
	bool any = false;

	for (unsigned i = 0; i < CONDITION_KINDS; i++) {
		if (match->conditions[i] != NULL && condition_rows[i].group == group) {
			text_add_format(text, "%s", any ? ", " : lead);
			write_condition(match->conditions[i], &condition_rows[i], text);
			any = true;
		}
	}
	return any;
}

void match_write(const struct match *match, struct text *text)
{
	text_add(text, SLICE("{"));
	bool any = write_group(match, GROUP_match, "", text);
	for (unsigned group = GROUP_match + 1; group < GROUPS; group++) {
		char lead[32];
		(void)snprintf(
		        lead, sizeof(lead), "%s%s: {", any ? ", " : "", condition_groups[group]);
		if (write_group(match, group, lead, text)) {
			text_add(text, SLICE("}"));
			any = true;
		}
	}
	text_add(text, SLICE("}"));
}

void match_add(const struct match *match, struct text *text)
{
	add_conditions(match, NULL, text);
}

void match_add_missed(const struct match *match, const struct sender *sender, struct text *text)
{
	add_conditions(match, sender, text);
}

/* ── The sender ──────────────────────────────────────────────────────────── */

static void add_fact(enum condition_kind kind, struct slice value, struct text *text)
{
	if (value.len > 0) {
		text_add_format(text, "%s%s %.*s", text->len > 0 ? ", " : "",
		        condition_rows[kind].name, SLICE_FMT(value));
	}
}

static void add_peer(const struct unix_peer *peer, struct text *text)
{
	if (peer->group_count > 0) {
		text_add_format(text, "%s %u, %s %u", condition_rows[CONDITION_UID].name, peer->uid,
		        condition_rows[CONDITION_GID].name, peer->groups[0]);
	}
}

static void add_certificate(const struct certificate *certificate, struct text *text)
{
	static const enum condition_kind kinds[] = {[CERTIFICATE_CN] = CONDITION_CN,
	        [CERTIFICATE_DNS] = CONDITION_DNS,
	        [CERTIFICATE_URI] = CONDITION_URI};

	for (unsigned i = 0; i < certificate->count; i++) {
		add_fact(kinds[certificate->names[i].kind], certificate->names[i].text, text);
	}
}

static void add_container(const struct container *container, struct text *text)
{
	add_fact(CONDITION_NAME, container->name, text);
	add_fact(CONDITION_IMAGE, container->image, text);
	add_fact(CONDITION_PROJECT, container_label(container, condition_project_label), text);
	add_fact(CONDITION_SERVICE, container_label(container, condition_service_label), text);
}

void sender_add(const struct sender *sender, struct text *text)
{
	add_peer(&sender->caller->peer, text);
	if (sender->caller->certificate != NULL) {
		add_certificate(sender->caller->certificate, text);
	}
	if (sender->container != NULL) {
		add_container(sender->container, text);
	}
}
