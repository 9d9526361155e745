/* SPDX-License-Identifier: MIT */
#include "containers/collection.h"

#include "base/clock.h"
#include "base/log.h"
#include "inspect/inspect.h"

/* Events of this time before the question are told again, for the Engine sends the head of the
 * response before it collects events. */
enum { SINCE_S = 5, COMPLAINT_S = 60 };

static void end(struct collection *collection, enum ask_state result)
{
	collection->result = result;
	collection->error = collection->ask.error;
	collection_end(collection);
	collection->verbs->ended(collection);
}

void collection_end(struct collection *collection)
{
	if (collection_asks(collection)) {
		ask_end(&collection->ask);
		collection->answered = collection->asked;
		collection->live = false;
	}
}

/* ── The response ────────────────────────────────────────────────────────── */

/* False: there is no memory. */
static bool take(struct collection *collection, struct slice object)
{
	struct inspect_memory *memory = pool_take(collection->inspect_pool);

	if (memory == NULL) {
		return false;
	}
	struct json_document document = inspect_document(memory);
	const bool readable = json_read(&document, object) == JSON_OK;
	collection->verbs->take(collection, readable ? document.nodes : NULL);
	pool_give(collection->inspect_pool, memory);
	return true;
}

/* False: the response is of no use. */
static bool take_bytes(struct collection *collection)
{
	struct slice bytes = ask_bytes(&collection->ask);

	while (bytes.len > 0) {
		struct slice object;
		const size_t len = json_split(&collection->splitter, bytes, &object);
		if (object.len > 0 && !take(collection, object)) {
			return false;
		}
		if (collection->splitter.left_out) {
			collection->splitter.left_out = false;
			collection->verbs->take(collection, NULL);
		}
		ask_took(&collection->ask, len);
		bytes = slice_behind(bytes, len);
	}
	return true;
}

static void begin(struct collection *collection)
{
	collection->live = true;
	json_splitter_begin(&collection->splitter, collection->object, sizeof(collection->object));
	if (collection->verbs->endless) {
		ask_forever(&collection->ask);
	}
	collection->verbs->begun(collection);
}

static void complain(struct collection *collection, unsigned status)
{
	const int64_t now_ns = collection->asker->loop->now_ns;

	if (now_ns >= collection->next_complaint_ns) {
		collection->next_complaint_ns = now_ns + COMPLAINT_S * NS_PER_S;
		log_line(LOG_WARNING,
		        "the Engine responds to GET %s with status %u: clients that only their "
		        "container can tell get a 502",
		        collection->verbs->name, status);
	}
}

static void notified(struct ask *ask)
{
	struct collection *collection = CONTAINER_OF(ask, struct collection, ask);

	if (ask->state != ASK_WAITING) {
		end(collection, ask->state);
		return;
	}
	if (ask->status != 0 && ask->status != 200) {
		complain(collection, ask->status);
		end(collection, ASK_MALFORMED);
		return;
	}
	if (!collection->live && ask->status != 0) {
		begin(collection);
	}
	if (!take_bytes(collection)) {
		end(collection, ASK_NO_MEMORY);
	}
}

/* ── The question ────────────────────────────────────────────────────────── */

static void write_question(const struct collection *collection, struct text *text)
{
	text_add_format(text, "GET %s", collection->verbs->target);
	if (collection->verbs->endless) {
		text_add_u64(text, (uint64_t)(clock_realtime_ns() / NS_PER_S - SINCE_S));
	}
	text_add(text, SLICE(" HTTP/1.1\r\nHost: localhost\r\n"));
	ask_add_fields(collection->asker, text);
	if (collection->api_key != NULL) {
		text_add_format(text, "x-api-key: %s\r\n", collection->api_key);
	}
	text_add(text, SLICE("\r\n"));
}

void collection_ask(struct collection *collection)
{
	struct text text;

	if (collection_asks(collection)) {
		return;
	}
	collection->asked++;
	if (!ask_begin(&collection->ask, collection->asker, collection->asker->upstream, notified,
	            &text)) {
		collection->answered = collection->asked;
		collection->result = ASK_NO_MEMORY;
		collection->verbs->ended(collection);
		return;
	}
	write_question(collection, &text);
	ask_send(&collection->ask, text.len, 0);
}
