/* SPDX-License-Identifier: MIT */
#include "audit/recent.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>
#include <sys/mman.h>

struct recent {
	pthread_mutex_t lock;
	uint64_t number; /* of the newest */
	struct recent_denial list[RECENT_MAX];
};

/* Not of the heap: of 450 KiB only what is touched takes memory. */
struct recent *recent_new(void)
{
	void *memory = mmap(NULL, sizeof(struct recent), PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct recent *recent = memory;

	if (memory == MAP_FAILED) {
		return NULL;
	}
	(void)pthread_mutex_init(&recent->lock, NULL);
	return recent;
}

void recent_free(struct recent *recent)
{
	if (recent != NULL) {
		(void)pthread_mutex_destroy(&recent->lock);
		(void)munmap(recent, sizeof(*recent));
	}
}

/* ── What a denial says ──────────────────────────────────────────────────── */

static void keep(char *memory, size_t size, struct slice value)
{
	memory[text_keep(memory, size - 1, value)] = '\0';
}

/* Too long to be pasted is no help. */
static void end_text(struct text *text)
{
	text->ptr[text->overflow ? 0 : text->len] = '\0';
}

static void keep_target(const struct denial *denial, struct recent_denial *entry)
{
	struct text text = text_over(entry->target, sizeof(entry->target) - 1);

	if (denial->request == NULL) {
		entry->target[0] = '\0';
		return;
	}
	docker_add_name(denial->request->id, denial->query, &text);
	if (text.len == 0) {
		docker_add_image(denial->request->id, denial->query, &text);
	}
	entry->target[text.len] = '\0';
	if (text.len == 0 && denial->request->name.ptr != NULL) {
		keep(entry->target, sizeof(entry->target), denial->request->name);
	}
}

static void keep_remedy(const struct denial *denial, struct recent_denial *entry)
{
	struct text yaml = text_over(entry->yaml, sizeof(entry->yaml) - 1);
	struct text variable = text_over(entry->variable, sizeof(entry->variable) - 1);

	if (denial->policy == NULL) {
		text_add(&yaml, denial->remedy);
	} else if (denial->findings != NULL) {
		findings_add_remedy(denial->findings, FINDINGS_LOG, &yaml, &variable);
	} else {
		policy_add_remedy(denial->policy, denial->request, &yaml, &variable);
	}
	end_text(&yaml);
	end_text(&variable);
}

/* Everything that is not compared. */
static void describe(const struct denial *denial, struct recent_denial *entry)
{
	struct text reason = text_over(entry->reason, sizeof(entry->reason) - 1);
	const char *rule = denial->verdict->rule;

	denial_add_reason(denial, &reason);
	entry->reason[reason.len] = '\0';
	keep(entry->rule, sizeof(entry->rule), slice_of(rule != NULL ? rule : ""));
	keep_target(denial, entry);
	keep_remedy(denial, entry);
}

/* ── Equal ones ──────────────────────────────────────────────────────────── */

/* Another word in a body needs another remedy, and so does another path that no row fits. */
static uint32_t topic_of(const struct denial *denial)
{
	uint32_t hash = denial->findings == NULL ? HASH_START : findings_hash(denial->findings);

	for (unsigned i = 0;
	        denial->findings != NULL && i < denial->findings->count && i < INSPECT_FINDINGS_MAX;
	        i++) {
		const struct finding *finding = &denial->findings->list[i];
		hash = hash_bytes(hash, (struct slice){finding->word, finding->word_len});
	}
	if (denial->engine != NULL) {
		hash = hash_bytes(hash, slice_of(denial->engine));
	}
	if (denial->request != NULL && docker_id_is_unknown(denial->request->id)) {
		hash = hash_bytes(hash, denial->method);
		hash = hash_bytes(hash, denial->path);
	}
	return hash;
}

/* What is compared. */
static void identify(const struct denial *denial, struct recent_denial *entry)
{
	entry->judged = denial->policy != NULL;
	entry->operation = entry->judged ? docker_operation_name(denial->request->id)
	                                 : outcome_word(denial->outcome);
	entry->observed = denial->verdict->observed;
	entry->topic = topic_of(denial);
	entry->listener = denial->listener;
	entry->caller = *denial->caller;
	entry->caller.certificate = NULL; /* it ends before */
	keep(entry->client, sizeof(entry->client),
	        slice_of(denial->client != NULL ? denial->client->name : ""));
	keep(entry->policy, sizeof(entry->policy),
	        slice_of(entry->judged ? policy_name(denial->policy) : ""));
	keep(entry->method, sizeof(entry->method), denial->method);
	keep(entry->path, sizeof(entry->path), denial->path);
}

static bool is_equal(const struct recent_denial *a, const struct recent_denial *b)
{
	return a->topic == b->topic && a->listener == b->listener && a->observed == b->observed &&
	       strcmp(a->operation, b->operation) == 0 && strcmp(a->client, b->client) == 0 &&
	       strcmp(a->policy, b->policy) == 0 && caller_same_user(&a->caller, &b->caller);
}

static struct recent_denial *find(struct recent *recent, const struct recent_denial *entry)
{
	for (unsigned i = 0; i < RECENT_MAX; i++) {
		if (recent->list[i].number != 0 && is_equal(&recent->list[i], entry)) {
			return &recent->list[i];
		}
	}
	return NULL;
}

/* Whether there was an equal one, which now stands for this one too. */
static bool join(struct recent *recent, const struct recent_denial *entry)
{
	(void)pthread_mutex_lock(&recent->lock);
	struct recent_denial *equal = find(recent, entry);
	if (equal != NULL) {
		equal->number = ++recent->number;
		equal->count++;
		equal->at_ns = entry->at_ns;
		equal->id = entry->id;
		equal->caller = entry->caller;
	}
	(void)pthread_mutex_unlock(&recent->lock);
	return equal != NULL;
}

/* ── The table ───────────────────────────────────────────────────────────── */

/* The entry that makes room: a free one, or the oldest, of the host if that has its share. */
static struct recent_denial *choose(struct recent *recent, const struct caller *caller)
{
	struct recent_denial *oldest = &recent->list[0];
	struct recent_denial *own = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < RECENT_MAX; i++) {
		struct recent_denial *entry = &recent->list[i];
		oldest = entry->number < oldest->number ? entry : oldest;
		if (entry->number != 0 && caller_same_host(&entry->caller, caller)) {
			own = own == NULL || entry->number < own->number ? entry : own;
			count++;
		}
	}
	return count < RECENT_OF_HOST_MAX ? oldest : own;
}

void recent_note(struct recent *recent, const struct denial *denial)
{
	struct recent_denial entry;

	if (recent == NULL) {
		return;
	}
	entry.at_ns = clock_realtime_ns();
	entry.id = denial->id;
	entry.count = 1;
	identify(denial, &entry);
	if (join(recent, &entry)) {
		return;
	}
	describe(denial, &entry);
	(void)pthread_mutex_lock(&recent->lock);
	entry.number = ++recent->number;
	*choose(recent, &entry.caller) = entry;
	(void)pthread_mutex_unlock(&recent->lock);
}

static int by_number(const void *a, const void *b)
{
	const struct recent_denial *one = a;
	const struct recent_denial *other = b;

	return one->number < other->number ? 1 : -1;
}

unsigned recent_copy(struct recent *recent, struct recent_denial ret_list[RECENT_MAX])
{
	unsigned count = 0;

	if (recent == NULL) {
		return 0;
	}
	(void)pthread_mutex_lock(&recent->lock);
	for (unsigned i = 0; i < RECENT_MAX; i++) {
		if (recent->list[i].number != 0) {
			ret_list[count++] = recent->list[i];
		}
	}
	(void)pthread_mutex_unlock(&recent->lock);
	qsort(ret_list, count, sizeof(*ret_list), by_number);
	return count;
}
