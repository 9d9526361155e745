/* SPDX-License-Identifier: MIT */
#include "identity/clients.h"

#include "base/hash.h"

#include <time.h>

const char *client_name_problem(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '-' && c != '_' && c != '.'))) {
			return "a name has letters, digits, '-', '_' and '.', and begins with a "
			       "letter or digit";
		}
	}
	return name.len == 0 || name.len > CLIENT_NAME_MAX ? "a name has 1 to 64 characters" : NULL;
}

uint32_t client_hash(const struct client *client)
{
	return hash_bytes(HASH_START, slice_of(client->name));
}

bool client_may_present(const struct client *client, const struct slowdown *slowdown)
{
	const uint32_t hash = client_hash(client);
	bool known = !slowdown->slowed;

	for (unsigned i = 0; i < slowdown->known_count && i < CLIENTS_KNOWN_MAX; i++) {
		known = known || slowdown->known[i] == hash;
	}
	return known;
}

bool client_has_ended(const struct client *client, int64_t now_s)
{
	return now_s >= client->until_s;
}

static bool has_ended(const struct client *client, const struct sender *sender)
{
	return client_has_ended(client, sender->now_s);
}

bool clients_want_key(
        const struct clients *clients, const struct sender *sender, const struct client *client)
{
	const struct client *end = client != NULL ? client : clients->list + clients->count;

	if (client != NULL && match_has(&client->match, CONDITION_KEY)) {
		return false;
	}
	for (const struct client *one = clients->list; one < end; one++) {
		if (!has_ended(one, sender) && match_misses_key(&one->match, sender)) {
			return true;
		}
	}
	return false;
}

/* Whether the entry is for the Engine that the request means. */
static bool is_for(const struct client *client, const struct sender *sender)
{
	/* One that is not there is taken for one that the sender may not use: all is all. */
	return client->engines == NULL || client->engines->all || sender->engine == ENGINE_ANY ||
	       engine_set_has(client->engines, sender->engine);
}

const struct client *clients_find_key(const struct clients *clients, const struct sender *sender)
{
	for (unsigned i = 0; sender->key != NULL && i < clients->count; i++) {
		const struct client *client = &clients->list[i];
		if (match_has(&client->match, CONDITION_KEY) && !has_ended(client, sender) &&
		        match_holds(&client->match, sender) == MATCH_YES) {
			return client;
		}
	}
	return NULL;
}

bool clients_know_key(const struct clients *clients, const struct sender *sender)
{
	bool known = false;

	for (unsigned i = 0; !known && sender->key != NULL && i < clients->count; i++) {
		const struct client *client = &clients->list[i];
		known = !is_for(client, sender) && match_has(&client->match, CONDITION_KEY) &&
		        !has_ended(client, sender) &&
		        match_holds(&client->match, sender) == MATCH_YES;
	}
	return known;
}

enum identified clients_find_from(const struct clients *clients, const struct sender *sender,
        unsigned *from, const struct client **ret_client)
{
	bool elsewhere = false; /* an entry for other Engines holds */
	bool unsure = false;    /* it may hold */

	*ret_client = NULL;
	while (*from < clients->count) {
		const struct client *client = &clients->list[(*from)++];
		const enum match_result holds =
		        has_ended(client, sender) ? MATCH_NO : match_holds(&client->match, sender);
		if (holds != MATCH_NO && !is_for(client, sender)) {
			elsewhere = elsewhere || holds == MATCH_YES;
			unsure = unsure || holds == MATCH_UNKNOWN;
			continue;
		}
		if (holds == MATCH_UNKNOWN) {
			return IDENTIFIED_UNKNOWN;
		}
		if (holds == MATCH_YES) {
			*ret_client = client;
			return IDENTIFIED_CLIENT;
		}
	}
	if (unsure) {
		return IDENTIFIED_UNKNOWN;
	}
	if (sender->key != NULL) {
		return clients_know_key(clients, sender) ? IDENTIFIED_ELSEWHERE
		                                         : IDENTIFIED_BAD_KEY;
	}
	if (elsewhere) {
		return IDENTIFIED_ELSEWHERE;
	}
	return clients->must_be_known ? IDENTIFIED_NO_KEY : IDENTIFIED_NOBODY;
}

enum identified clients_find(const struct clients *clients, const struct sender *sender,
        const struct client **ret_client)
{
	unsigned from = 0;

	return clients_find_from(clients, sender, &from, ret_client);
}

/* ── Saying it ───────────────────────────────────────────────────────────── */

void client_add_until(const struct client *client, struct text *text)
{
	const time_t seconds = (time_t)client->until_s;
	char memory[sizeof("2027-01-31T18:00:00Z")];
	struct tm time;

	if (client->until_s != INT64_MAX && gmtime_r(&seconds, &time) != NULL &&
	        strftime(memory, sizeof(memory), "%Y-%m-%dT%H:%M:%SZ", &time) > 0) {
		text_add(text, slice_of(memory));
	}
}

/* An entry is there as a whole, or not at all. */
static bool add_tried(const struct client *client, const struct sender *sender, struct text *text)
{
	const struct text before = *text;

	text_add_format(text, "%s%s: ", text->len > 0 ? "; " : "", client->name);
	if (has_ended(client, sender)) {
		text_add(text, SLICE("it has ended"));
	} else if (!is_for(client, sender)) {
		text_add(text, SLICE("it is for other Engines"));
	} else {
		match_add_missed(&client->match, sender, text);
	}
	if (text->overflow) {
		*text = before;
		return false;
	}
	return true;
}

void clients_add_tried(
        const struct clients *clients, const struct sender *sender, struct text *text)
{
	for (unsigned i = 0; i < clients->count; i++) {
		if (!add_tried(&clients->list[i], sender, text)) {
			return;
		}
	}
}

bool clients_keep(const struct clients *clients, const struct sender *sender)
{
	struct key_hash hash;

	if (sender->key == NULL || key_hash_read(sender->key->text, &hash) != NULL) {
		return false;
	}
	for (unsigned i = 0; i < clients->count; i++) {
		if (match_has_hash(&clients->list[i].match, &hash)) {
			return true;
		}
	}
	return false;
}

void clients_add_kinds(const struct clients *clients, struct text *text)
{
	unsigned kinds = 0;

	for (unsigned i = 0; i < clients->count; i++) {
		kinds |= clients->list[i].match.kinds;
	}
	match_add_kinds(kinds, text);
}
