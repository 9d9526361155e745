/* SPDX-License-Identifier: MIT */
/*
 * survey — what operators ask of all threads.
 *
 * Each thread has a part of the survey, which it writes while it is asked; the first thread reads
 * the parts that are done. So nobody takes a lock, and a request touches nothing that threads
 * share. A thread that does not answer within a second is left out, and not asked again before it
 * has answered.
 */
#include "base/clock.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
	LATE_S = 1,
	FIRST_SIZE = 2 * STATE_ROOM,
};

static void begin(struct server *server);

/* ── In the thread that is asked ─────────────────────────────────────────── */

static void answer(struct thread *thread, enum part_state state)
{
	struct server *server = thread->server;

	if (atomic_exchange(&thread->part.state, (int)state) == PART_ASKED) {
		inbox_post(&server->threads[0]->inbox, INBOX_SURVEYED, server);
	}
}

void thread_survey(struct thread *thread, void *message)
{
	struct part *part = &thread->part;

	(void)message;
	if (atomic_load(&part->state) != PART_ASKED) {
		return;
	}
	if (part->closing == 0 && part->listing != NULL) {
		sessions_list(thread->worker, part->listing);
	} else if (part->closing != 0) {
		part->found = session_end_stream(thread->worker, part->closing);
	}
	answer(thread, PART_DONE);
}

void survey_leave(struct thread *thread)
{
	answer(thread, PART_GONE);
}

/* ── Asking, in the first thread ─────────────────────────────────────────── */

static void ask(struct thread *thread, uint64_t closing)
{
	struct part *part = &thread->part;
	int state = atomic_load(&part->state);

	if (state == PART_ASKED || state == PART_GONE) {
		return;
	}
	part->closing = closing;
	part->found = false;
	if (closing == 0 && part->listing == NULL) {
		part->listing = calloc(1, sizeof(*part->listing));
	}
	if (atomic_compare_exchange_strong(&part->state, &state, PART_ASKED)) {
		inbox_post(&thread->inbox, INBOX_SURVEY, thread->server);
	}
}

static bool is_asked(const struct server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		if (atomic_load(&server->threads[i]->part.state) == PART_ASKED) {
			return true;
		}
	}
	return false;
}

/* What the parts have is not needed any more. */
static void forget_parts(struct server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct part *part = &server->threads[i]->part;
		int done = PART_DONE;
		if (atomic_compare_exchange_strong(&part->state, &done, PART_FREE)) {
			free(part->listing);
			part->listing = NULL;
		}
	}
}

static void end(struct server *server, bool ok, const char *text)
{
	struct survey *survey = &server->survey;

	forget_parts(server);
	survey->state = SURVEY_NONE;
	wishes_tell(&survey->current, ok, text);
	admin_document_leave(survey->document);
	survey->document = NULL;
	if (survey->state == SURVEY_NONE) {
		begin(server);
	}
}

/* ── The document ────────────────────────────────────────────────────────── */

/* Room for another piece. False without memory. */
static bool make_room(struct survey *survey)
{
	struct admin_document *document = survey->document;
	const size_t used = document == NULL ? 0 : document->len;

	if (document != NULL && survey->size - used >= STATE_ROOM) {
		return true;
	}
	survey->size = document == NULL ? FIRST_SIZE : 2 * survey->size;
	document = realloc(document, sizeof(*document) + survey->size);
	if (document == NULL) {
		return false;
	}
	document->references = 1;
	document->len = used;
	survey->document = document;
	return true;
}

static void write_on(struct task *task)
{
	struct server *server = CONTAINER_OF(task, struct server, survey.next);
	struct survey *survey = &server->survey;
	bool whole = false;

	if (!make_room(survey)) {
		state_free(survey->view);
		survey->view = NULL;
		end(server, false, "there is no memory for the answer");
		return;
	}
	struct admin_document *document = survey->document;
	struct text text = text_over(document->bytes + document->len, survey->size - document->len);
	whole = state_write(survey->view, &text);
	ASSERT(!text.overflow);
	document->len += text.len;
	if (!whole) {
		loop_put_off(worker_loop(server->threads[0]->worker), &survey->next);
		return;
	}
	state_free(survey->view);
	survey->view = NULL;
	end(server, true, NULL);
}

static void write_document(struct server *server)
{
	struct survey *survey = &server->survey;

	survey->view = state_new(server);
	if (survey->view == NULL) {
		end(server, false, "there is no memory for the answer");
		return;
	}
	survey->state = SURVEY_WRITING;
	loop_put_off(worker_loop(server->threads[0]->worker), &survey->next);
}

/* ── The end of asking ───────────────────────────────────────────────────── */

static void end_closing(struct server *server)
{
	bool found = false;

	for (unsigned i = 0; i < server->thread_count; i++) {
		const struct part *part = &server->threads[i]->part;
		found = found || (atomic_load(&part->state) == PART_DONE &&
		                         part->closing == server->survey.closing && part->found);
	}
	end(server, found,
	        found || !is_asked(server) ? NULL
	                                   : "a worker does not answer, and the stream is none of "
	                                     "the others': ask again");
}

static void go_on(struct server *server)
{
	struct survey *survey = &server->survey;

	if (survey->state != SURVEY_ASKING) {
		return;
	}
	timer_stop(&survey->late);
	if (survey->closing == 0) {
		write_document(server);
	} else {
		end_closing(server);
	}
}

static void go_on_if_answered(struct server *server)
{
	if (!is_asked(server) && !server->survey.asks_engine) {
		go_on(server);
	}
}

void thread_surveyed(struct thread *thread, void *message)
{
	struct server *server = message;

	(void)thread;
	go_on_if_answered(server);
}

void survey_released(struct server *server)
{
	server->survey.asks_engine = false;
	go_on_if_answered(server);
}

static void late_expired(struct timer *timer)
{
	go_on(CONTAINER_OF(timer, struct server, survey.late));
}

/* ── Wishes ──────────────────────────────────────────────────────────────── */

static void take_wish(struct survey *survey, struct list *wishes)
{
	struct list *first = wishes->next;

	list_remove(first);
	list_append(&survey->current, first);
}

/* Those who want a document share one; streams are ended one after the other. */
static bool choose(struct survey *survey)
{
	survey->closing = 0;
	if (!list_empty(&survey->closes)) {
		survey->closing = CONTAINER_OF(survey->closes.next, struct wish, link)->about;
		take_wish(survey, &survey->closes);
		return true;
	}
	while (!list_empty(&survey->looks)) {
		take_wish(survey, &survey->looks);
	}
	return !list_empty(&survey->current);
}

static void begin(struct server *server)
{
	struct survey *survey = &server->survey;

	if (!choose(survey)) {
		return;
	}
	survey->state = SURVEY_ASKING;
	timer_start(worker_loop(server->threads[0]->worker), &survey->late_queue, &survey->late);
	for (unsigned i = 0; i < server->thread_count; i++) {
		ask(server->threads[i], survey->closing);
	}
	survey->asks_engine = survey->closing == 0 && release_ask(server);
}

static void wish_for(struct server *server, struct list *wishes, struct wish *wish)
{
	list_append(wishes, &wish->link);
	if (server->survey.state == SURVEY_NONE) {
		begin(server);
	}
}

void survey_look(struct server *server, struct wish *wish)
{
	wish_for(server, &server->survey.looks, wish);
}

void survey_close_stream(struct server *server, struct wish *wish)
{
	if (wish->about == 0) {
		wish->done(wish, false, NULL);
	} else {
		wish_for(server, &server->survey.closes, wish);
	}
}

struct admin_document *survey_take(struct server *server)
{
	server->survey.document->references++;
	return server->survey.document;
}

/* ── The start and the end ───────────────────────────────────────────────── */

void survey_init(struct server *server)
{
	struct survey *survey = &server->survey;

	list_init(&survey->looks);
	list_init(&survey->closes);
	list_init(&survey->current);
	task_init(&survey->next, write_on);
	timer_init(&survey->late, late_expired);
}

void survey_begin(struct server *server)
{
	timer_queue_init(worker_loop(server->threads[0]->worker), &server->survey.late_queue,
	        LATE_S * NS_PER_S);
}

void survey_end(struct server *server)
{
	struct survey *survey = &server->survey;

	survey->state = SURVEY_WRITING; /* nothing begins any more */
	state_free(survey->view);
	admin_document_leave(survey->document);
	wishes_tell(&survey->current, false, "the proxy is shutting down");
	wishes_tell(&survey->looks, false, "the proxy is shutting down");
	wishes_tell(&survey->closes, false, "the proxy is shutting down");
}
