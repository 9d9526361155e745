/* SPDX-License-Identifier: MIT */
/*
 * release — which Engine it is: its version, and that of its API, asked when operators look.
 *
 * GET /version is asked once in a while, in the first thread. What an Engine says stands until it
 * says something else, or cannot be asked any more.
 */
#include "base/clock.h"
#include "serve/internal.h"

enum {
	FRESH_S = 30,
	ANSWER_MAX = 64 * 1024, /* bytes; dockerd 28 sends 1 KiB */
};

/* ── The answer ──────────────────────────────────────────────────────────── */

static void answered(struct ask *ask)
{
	struct server *server = CONTAINER_OF(ask, struct server, release.ask);
	struct release *release = &server->release;

	if (ask->state == ASK_WAITING) {
		return;
	}
	const bool said = ask->state == ASK_ANSWERED && ask->status == 200;
	release_keep(release, said ? ask_bytes(ask) : SLICE(""));
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

	if (server->stopping || release->asking || !server_has_engine(server) ||
	        asker->loop->now_ns < release->fresh_until_ns ||
	        !ask_begin(&release->ask, asker, asker->upstream, answered, &text)) {
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
