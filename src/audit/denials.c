/* SPDX-License-Identifier: MIT */
#include "audit/denials.h"

#include "base/clock.h"
#include "base/log.h"

enum { LINE_EVERY_S = 60, MESSAGE_MAX = 1536, PATH_SHOWN_MAX = 128, METHOD_SHOWN_MAX = 16 };

void denials_init(struct denials *denials)
{
	(void)pthread_mutex_init(&denials->lock, NULL);
}

static uint32_t hash_of(const struct caller *caller, const char *operation)
{
	uint32_t hash = caller_hash(caller);

	for (; *operation != '\0'; operation++) { /* FNV-1a */
		hash = (hash ^ (unsigned char)*operation) * 16777619U;
	}
	return hash;
}

static bool is_entry_of(const struct denials_entry *entry, const struct caller *caller,
        const char *operation, bool observed)
{
	return entry->operation != NULL && entry->observed == observed &&
	       strcmp(entry->operation, operation) == 0 && caller_same_host(&entry->caller, caller);
}

/* The minute is not over, but nobody would hear of the rest later. */
static void log_rest(const struct denials_entry *entry)
{
	char memory[ADDRESS_NAME_MAX];
	struct text host = text_over(memory, sizeof(memory));

	if (entry->operation != NULL && entry->count > 0) {
		caller_add_host(&entry->caller, &host);
		log_line(LOG_WARNING, "%s: %s again since then client=%.*s denied=%lu",
		        entry->observed ? "would deny" : "denied", entry->operation,
		        SLICE_FMT(text_slice(&host)), (unsigned long)entry->count);
	}
}

void denials_finish(struct denials *denials)
{
	for (unsigned set = 0; set < DENIALS_SETS; set++) {
		for (unsigned way = 0; way < DENIALS_WAYS; way++) {
			log_rest(&denials->entries[set][way]);
			denials->entries[set][way].count = 0;
		}
	}
}

/* The entry of that key, in a set that belongs to it; the oldest one if there is none. */
static struct denials_entry *find(struct denials_entry *set, const struct caller *caller,
        const char *operation, bool observed)
{
	struct denials_entry *oldest = &set[0];

	for (unsigned i = 0; i < DENIALS_WAYS; i++) {
		if (is_entry_of(&set[i], caller, operation, observed)) {
			return &set[i];
		}
		if (set[i].operation == NULL ||
		        (oldest->operation != NULL && set[i].logged_ns < oldest->logged_ns)) {
			oldest = &set[i];
		}
	}
	log_rest(oldest);
	*oldest = (struct denials_entry){
	        .caller = *caller, .operation = operation, .observed = observed};
	return oldest;
}

uint64_t denials_count(struct denials *denials, int64_t now_ns, const struct caller *caller,
        const char *operation, bool observed)
{
	const uint32_t hash = hash_of(caller, operation);
	uint64_t count = 0;

	(void)pthread_mutex_lock(&denials->lock);
	struct denials_entry *entry =
	        find(denials->entries[hash % DENIALS_SETS], caller, operation, observed);
	const bool fresh = entry->logged_ns == 0;
	entry->count++;
	if (fresh || now_ns - entry->logged_ns >= LINE_EVERY_S * NS_PER_S) {
		count = entry->count;
		entry->count = 0;
		entry->logged_ns = now_ns;
	}
	(void)pthread_mutex_unlock(&denials->lock);
	return count;
}

/* Neither may push what stands behind it off the line. */
static struct slice shown(struct slice word, size_t max)
{
	return (struct slice){word.ptr, word.len < max ? word.len : max};
}

void denials_report(struct denials *denials, int64_t now_ns, const struct caller *caller,
        const struct policy *policy, const struct docker_request *request,
        const struct verdict *verdict)
{
	const uint64_t count = denials_count(
	        denials, now_ns, caller, docker_operation_name(request->id), verdict->observed);
	char host_memory[ADDRESS_NAME_MAX];
	struct text host = text_over(host_memory, sizeof(host_memory));
	char message[MESSAGE_MAX];
	struct text text = text_over(message, sizeof(message));
	const struct slice method = shown(request->method, METHOD_SHOWN_MAX);
	const struct slice path = shown(request->path, PATH_SHOWN_MAX);

	if (count == 0) {
		return;
	}
	caller_add_host(caller, &host);
	policy_add_denial(policy, request, verdict, &text);
	log_line(LOG_WARNING, "%s: %.*s method=%.*s path=%.*s client=%.*s denied=%lu",
	        verdict->observed ? "would deny" : "denied", SLICE_FMT(text_slice(&text)),
	        SLICE_FMT(method), SLICE_FMT(path), SLICE_FMT(text_slice(&host)),
	        (unsigned long)count);
}
