/* SPDX-License-Identifier: MIT */
#include "audit/denials.h"

#include "base/clock.h"
#include "base/log.h"

enum { LINE_EVERY_S = 60, MESSAGE_MAX = 1536, PATH_SHOWN_MAX = 128, METHOD_SHOWN_MAX = 16 };

void denials_init(struct denials *denials)
{
	(void)pthread_mutex_init(&denials->lock, NULL);
}

/* FNV-1a. */
static uint32_t hash_of(uint32_t hash, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		hash = (hash ^ (unsigned char)s.ptr[i]) * 16777619U;
	}
	return hash;
}

static bool is_entry_of(const struct denials_entry *entry, struct slice client,
        const char *operation, bool observed)
{
	return slice_equal(slice_of(entry->client), client) && entry->observed == observed &&
	       strcmp(entry->operation, operation) == 0;
}

/* The minute is not over, but nobody would hear of the rest later. */
static void log_rest(const struct denials_entry *entry)
{
	if (entry->operation != NULL && entry->count > 0) {
		log_line(LOG_WARNING, "%s: %s again since then client=%s denied=%lu",
		        entry->observed ? "would deny" : "denied", entry->operation, entry->client,
		        (unsigned long)entry->count);
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
static struct denials_entry *find(
        struct denials_entry *set, struct slice client, const char *operation, bool observed)
{
	struct denials_entry *oldest = &set[0];

	for (unsigned i = 0; i < DENIALS_WAYS; i++) {
		if (set[i].operation != NULL && is_entry_of(&set[i], client, operation, observed)) {
			return &set[i];
		}
		if (set[i].operation == NULL ||
		        (oldest->operation != NULL && set[i].logged_ns < oldest->logged_ns)) {
			oldest = &set[i];
		}
	}
	log_rest(oldest);
	*oldest = (struct denials_entry){.operation = operation, .observed = observed};
	struct text text = text_over(oldest->client, sizeof(oldest->client) - 1);
	text_add(&text, client);
	return oldest;
}

uint64_t denials_count(struct denials *denials, int64_t now_ns, struct slice client,
        const char *operation, bool observed)
{
	uint64_t count = 0;

	client.len = client.len < DENIALS_CLIENT_MAX ? client.len : DENIALS_CLIENT_MAX - 1;
	const uint32_t hash = hash_of(hash_of(2166136261U, client), slice_of(operation));
	(void)pthread_mutex_lock(&denials->lock);
	struct denials_entry *entry =
	        find(denials->entries[hash % DENIALS_SETS], client, operation, observed);
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

static void log_denial(bool observed, struct slice why, struct slice method, struct slice path,
        struct slice client, uint64_t count)
{
	method = shown(method, METHOD_SHOWN_MAX);
	path = shown(path, PATH_SHOWN_MAX);
	log_line(LOG_WARNING, "%s: %.*s method=%.*s path=%.*s client=%.*s denied=%lu",
	        observed ? "would deny" : "denied", SLICE_FMT(why), SLICE_FMT(method),
	        SLICE_FMT(path), SLICE_FMT(client), (unsigned long)count);
}

void denials_report(struct denials *denials, int64_t now_ns, const char *client,
        const struct policy *policy, const struct docker_request *request,
        const struct verdict *verdict)
{
	/* The port is another one each time. */
	const struct slice address = slice_before_last(client, ':');
	const uint64_t count = denials_count(
	        denials, now_ns, address, docker_operation_name(request->id), verdict->observed);
	char message[MESSAGE_MAX];
	struct text text = text_over(message, sizeof(message));

	if (count > 0) {
		policy_add_denial(policy, request, verdict, &text);
		log_denial(verdict->observed, text_slice(&text), request->method, request->path,
		        address, count);
	}
}

void denials_report_unjudged(struct denials *denials, int64_t now_ns, const char *client,
        const struct denials_unjudged *denied)
{
	const struct slice address = slice_before_last(client, ':');
	const uint64_t count = denials_count(denials, now_ns, address, denied->what, false);

	if (count > 0) {
		log_denial(
		        false, slice_of(denied->why), denied->method, denied->path, address, count);
	}
}
