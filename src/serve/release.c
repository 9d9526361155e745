/* SPDX-License-Identifier: MIT */
/*
 * release — which Engine it is: its version, and that of its API, asked when operators look.
 *
 * GET /version is asked once in a while, in the first thread. What an Engine says stands until it
 * says something else, or cannot be asked any more.
 */
#include "base/clock.h"
#include "json/json.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
	FRESH_S = 30,
	ANSWER_MAX = 64 * 1024, /* bytes; dockerd 28 sends 1 KiB */
	NODES_MAX = 2048,
};

/* ── The answer ──────────────────────────────────────────────────────────── */

static void keep_member(
        const struct json_node *root, struct slice name, char memory[RELEASE_WORD_MAX + 1])
{
	const struct json_node *member = root == NULL ? NULL : json_member(root, name);
	const bool known = member != NULL && member->type == JSON_STRING;

	memory[text_keep(memory, RELEASE_WORD_MAX, known ? member->text : SLICE(""))] = '\0';
}

/* `answer` empty: the Engine did not say. */
static void keep(struct release *release, struct slice answer)
{
	struct json_document document = {
	        .most = NODES_MAX,
	        .nodes = calloc(NODES_MAX, sizeof(*document.nodes)),
	        .marks = calloc(NODES_MAX, 2 * sizeof(*document.marks)),
	        .strings = malloc(answer.len + 1),
	};
	const bool read = document.nodes != NULL && document.marks != NULL &&
	                  document.strings != NULL && json_read(&document, answer) == JSON_OK &&
	                  document.nodes->type == JSON_OBJECT;
	const struct json_node *root = read ? document.nodes : NULL;

	keep_member(root, SLICE("Version"), release->version);
	keep_member(root, SLICE("ApiVersion"), release->api_version);
	free(document.nodes);
	free(document.marks);
	free(document.strings);
}

static void answered(struct ask *ask)
{
	struct server *server = CONTAINER_OF(ask, struct server, release.ask);
	struct release *release = &server->release;

	if (ask->state == ASK_WAITING) {
		return;
	}
	const bool said = ask->state == ASK_ANSWERED && ask->status == 200;
	keep(release, said ? ask_bytes(ask) : SLICE(""));
	release->fresh_until_ns =
	        said ? worker_loop(server->threads[0]->worker)->now_ns + FRESH_S * NS_PER_S : 0;
	release->asking = false;
	ask_end(ask);
	survey_released(server);
}

/* ── The question ────────────────────────────────────────────────────────── */

bool release_ask(struct server *server)
{
	struct release *release = &server->release;
	struct asker *asker = worker_asker(server->threads[0]->worker);
	const char *key = server_config(server)->api_key;
	struct text text;

	if (server->stopping || release->asking || asker->loop->now_ns < release->fresh_until_ns ||
	        !ask_begin(&release->ask, asker, answered, &text)) {
		return false;
	}
	text_add(&text, SLICE("GET /version HTTP/1.1\r\nHost: localhost\r\n"));
	ask_add_fields(asker, &text);
	if (key != NULL) {
		text_add_format(&text, "x-api-key: %s\r\n", key);
	}
	text_add(&text, SLICE("\r\n"));
	release->asking = true;
	ask_send(&release->ask, text.len, ANSWER_MAX);
	return true;
}

void release_end(struct server *server)
{
	if (server->release.asking) {
		server->release.asking = false;
		ask_end(&server->release.ask);
	}
}
