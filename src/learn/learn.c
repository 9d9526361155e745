/* SPDX-License-Identifier: MIT */
#include "learn/learn.h"

#include "base/log.h"
#include "learn/record.h"

#include <stdlib.h>

enum { LEARN_MATCH_MAX = 1024 * 1024 };

/* Several rows of the catalogue may be one operation: the first of them speaks for all. */
static unsigned first_of_operation(unsigned id)
{
	unsigned first = 0;

	if (id >= docker_endpoint_count) {
		return id;
	}
	while (strcmp(docker_operation_name(first), docker_operation_name(id)) != 0) {
		first++;
	}
	return first;
}

struct learn *learn_new(void)
{
	struct learn *learn =
	        calloc(1, sizeof(*learn) + docker_id_count() * sizeof(learn->first[0]));

	if (learn != NULL) {
		(void)pthread_mutex_init(&learn->lock, NULL);
	}
	for (unsigned id = 0; learn != NULL && id < docker_id_count(); id++) {
		learn->first[id] = first_of_operation(id);
	}
	return learn;
}

void learn_free(struct learn *learn)
{
	for (unsigned i = 0; learn != NULL && i < learn->page_count; i++) {
		free(learn->pages[i]->client.match);
		free(learn->pages[i]);
	}
	free(learn);
}

/* NULL: too long, or no memory. */
static char *write_match(const struct match *match)
{
	char *memory = malloc(LEARN_MATCH_MAX + 1);
	struct text text = text_over(memory, LEARN_MATCH_MAX);

	if (memory == NULL) {
		return NULL;
	}
	match_write(match, &text);
	memory[text.len] = '\0';
	char *kept = text.overflow ? NULL : strdup(memory);
	free(memory);
	return kept;
}

static void keep_client(struct learned_client *kept, const struct client *client)
{
	*kept = (struct learned_client){
	        .number = client->number,
	        .until_s = client->until_s,
	        .match = write_match(&client->match),
	};
	kept->name[text_keep(kept->name, CLIENT_NAME_MAX, slice_of(client->name))] = '\0';
}

static struct page *new_page(struct learn *learn, const struct caller *caller,
        const struct client *client, bool of_others)
{
	struct page *page = calloc(1, sizeof(*page) + docker_id_count() * sizeof(page->counts[0]));

	if (page == NULL) {
		return NULL;
	}
	page->caller = *caller;
	if (client != NULL) {
		keep_client(&page->client, client);
	}
	page->of_others = of_others;
	learn->pages[learn->page_count++] = page;
	return page;
}

static bool is_of(const struct page *page, const struct caller *caller, const struct client *client)
{
	if (page->of_others) {
		return false;
	}
	return client != NULL ? strcmp(page->client.name, client->name) == 0
	                      : !is_entry(page) && caller_same_user(&page->caller, caller);
}

/* The page of a client, a new one if need be; NULL without memory. */
static struct page *page_of(
        struct learn *learn, const struct caller *caller, const struct client *client)
{
	for (unsigned i = 0; i < learn->page_count; i++) {
		struct page *page = learn->pages[i];
		if (is_of(page, caller, client)) {
			return page;
		}
	}
	if (learn->page_count == LEARN_CLIENTS_MAX - 1) {
		return new_page(learn, caller, NULL, true);
	}
	return learn->page_count < LEARN_CLIENTS_MAX ? new_page(learn, caller, client, false)
	                                             : learn->pages[LEARN_CLIENTS_MAX - 1];
}

/* Whether a rule for this request would load, whatever the client sent. */
static bool can_have_a_rule(struct slice method, struct slice path)
{
	/* Patterns that begin so are refused: it is a version that was not removed. */
	const bool has_version = path.len > 2 && slice_starts_with(path, SLICE("/v")) &&
	                         strchr("0123456789.", path.ptr[2]) != NULL;

	return slice_starts_with(path, SLICE("/")) && !has_version &&
	       method.len <= LEARN_METHOD_MAX && path.len <= LEARN_PATH_MAX;
}

static struct unknown_request *unknown_of(
        struct learn *learn, const struct page *page, struct slice method, struct slice path)
{
	struct unknown_request *unknown = learn->unknown;

	for (unsigned i = 0; i < learn->unknown_count; i++, unknown++) {
		if (unknown->page == page &&
		        slice_equal((struct slice){unknown->method, unknown->method_len}, method) &&
		        slice_equal((struct slice){unknown->path, unknown->path_len}, path)) {
			return unknown;
		}
	}
	if (learn->unknown_count == LEARN_UNKNOWN_MAX || !can_have_a_rule(method, path)) {
		return NULL;
	}
	learn->unknown_count++;
	unknown->page = page;
	unknown->method_len = text_keep(unknown->method, LEARN_METHOD_MAX, method);
	unknown->path_len = text_keep(unknown->path, LEARN_PATH_MAX, path);
	return unknown;
}

/* Its number, from 1; 0: it has none. */
static unsigned note_unknown(
        struct learn *learn, struct page *page, const struct docker_request *request)
{
	struct unknown_request *unknown =
	        policy_method_tells(request)
	                ? unknown_of(learn, page, request->method, request->bare)
	                : NULL;

	if (unknown == NULL) {
		page->uncounted++;
		return 0;
	}
	unknown->count++;
	return 1 + (unsigned)(unknown - learn->unknown);
}

static void note_word(struct page *page, const struct inspect_word *word)
{
	for (unsigned i = 0; i < page->word_count; i++) {
		if (inspect_same_word(&page->words[i], word)) {
			return;
		}
	}
	if (page->word_count == LEARN_WORDS_MAX) {
		page->words_lost = true;
		return;
	}
	page->words[page->word_count++] = *word;
}

static void note_words(struct page *page, const struct findings *findings)
{
	struct inspect_word word;
	unsigned at = 0;
	unsigned count = 0;

	for (; findings_next_word(findings, &at, &word); count++) {
		note_word(page, &word);
	}
	page->words_lost = page->words_lost || count < findings->count;
}

/* Whether it is the first of its operation on that page. */
static bool note(struct learn *learn, struct page *page, const struct docker_request *request,
        const struct findings *findings, unsigned *ret_number)
{
	const unsigned operation = learn->first[request->id];
	page->requests++;
	page->counts[operation]++;
	if (docker_endpoint(request->id) == NULL) {
		*ret_number = note_unknown(learn, page, request);
	}
	if (findings != NULL) {
		note_words(page, findings);
	}
	return page->counts[operation] == 1;
}

unsigned learn_note(struct learn *learn, const struct caller *caller, const struct client *client,
        const struct docker_request *request, const struct findings *findings)
{
	char memory[ADDRESS_NAME_MAX + CLIENT_NAME_MAX];
	struct text who = text_over(memory, sizeof(memory));
	unsigned number = 0;

	(void)pthread_mutex_lock(&learn->lock);
	struct page *page = page_of(learn, caller, client);
	const bool is_first = page != NULL && note(learn, page, request, findings, &number);
	(void)pthread_mutex_unlock(&learn->lock);
	if (is_first) {
		learn_add_client(page, &who);
		log_line(LOG_NOTICE, "learned: %.*s asks for %s", SLICE_FMT(text_slice(&who)),
		        docker_operation_name(request->id));
	}
	return number;
}

void learn_served(struct learn *learn, unsigned number)
{
	(void)pthread_mutex_lock(&learn->lock);
	ASSERT(number > 0 && number <= learn->unknown_count);
	learn->unknown[number - 1].served = true;
	(void)pthread_mutex_unlock(&learn->lock);
}
