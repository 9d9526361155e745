/* SPDX-License-Identifier: MIT */
#include "audit/denials.h"

#include "audit/recent.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

enum {
	LINE_EVERY_S = 60,
	/* Bytes that a line has of each. */
	MESSAGE_MAX = 1536,
	ADVICE_MAX = 1024,
	TRIED_MAX = 512,
	SENDER_MAX = 512,
	PATH_SHOWN_MAX = 128,
	METHOD_SHOWN_MAX = 16,
	NAME_SHOWN_MAX = 128,
};

void denials_init(struct denials *denials)
{
	(void)pthread_mutex_init(&denials->lock, NULL);
}

static uint32_t hash_of(const struct caller *caller, const char *operation, uint32_t topic)
{
	return hash_bytes(caller_hash(caller) ^ topic, slice_of(operation));
}

static bool is_entry_of(const struct denials_entry *entry, const struct caller *caller,
        const char *operation, bool observed, uint32_t topic)
{
	return entry->operation != NULL && entry->observed == observed && entry->topic == topic &&
	       strcmp(entry->operation, operation) == 0 && caller_same_host(&entry->caller, caller);
}

/* The minute is not over, but the entry is given up: log its rest now. */
static void log_rest(const struct denials_entry *entry)
{
	char memory[3][NAME_SHOWN_MAX];
	struct text message = text_over(memory[0], NAME_SHOWN_MAX);
	struct text host = text_over(memory[1], NAME_SHOWN_MAX);
	struct text count = text_over(memory[2], NAME_SHOWN_MAX);

	if (entry->operation == NULL || entry->count == 0) {
		return;
	}
	text_add_format(&message, "%s: %s again since then",
	        entry->observed ? "would deny" : "denied", entry->operation);
	caller_add_host(&entry->caller, &host);
	text_add_u64(&count, entry->count);
	const struct log_field fields[] = {
	        {"op", slice_of(entry->operation), false, true},
	        {"client", text_slice(&host), false, false},
	        {"denied", text_slice(&count), true, false},
	};
	(void)log_event(LOG_WARNING, text_slice(&message), fields, ARRAY_LEN(fields));
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
        const char *operation, bool observed, uint32_t topic)
{
	struct denials_entry *oldest = &set[0];

	for (unsigned i = 0; i < DENIALS_WAYS; i++) {
		if (is_entry_of(&set[i], caller, operation, observed, topic)) {
			return &set[i];
		}
		if (set[i].operation == NULL ||
		        (oldest->operation != NULL && set[i].logged_ns < oldest->logged_ns)) {
			oldest = &set[i];
		}
	}
	log_rest(oldest);
	*oldest = (struct denials_entry){
	        .caller = *caller, .operation = operation, .observed = observed, .topic = topic};
	return oldest;
}

uint64_t denials_count(struct denials *denials, int64_t now_ns, const struct caller *caller,
        const char *operation, bool observed, uint32_t topic)
{
	const uint32_t hash = hash_of(caller, operation, topic);
	uint64_t count = 0;

	(void)pthread_mutex_lock(&denials->lock);
	struct denials_entry *entry =
	        find(denials->entries[hash % DENIALS_SETS], caller, operation, observed, topic);
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

/* The path may not push what stands behind it off the line. */
static struct slice shown(struct slice word, size_t max)
{
	return (struct slice){word.ptr, word.len < max ? word.len : max};
}

static void add_advice(const struct denial *denial, struct text *advice)
{
	if (denial->policy == NULL) {
		text_add(advice, denial->advice);
	} else if (denial->findings == NULL) {
		policy_advise(denial->policy, denial->request, advice);
	} else {
		findings_advise(denial->findings, FINDINGS_LOG, advice);
	}
}

/* Who was judged by nothing: what is said to the client, and for a key what it was. */
static void add_outcome(const struct denial *denial, struct text *message)
{
	text_add(message,
	        slice_of(denial->reason != NULL ? denial->reason : outcome_text(denial->outcome)));
	if (denial->advice.len > 0) {
		text_add(message, SLICE(". To allow it, "));
		text_add(message, denial->advice);
	}
	if (denial->clients != NULL && clients_keep(denial->clients, denial->sender)) {
		text_add(message, SLICE(": it is the hash of a key, which is kept here; the client "
		                        "must present the key that was hashed"));
	}
}

void denial_add_reason(const struct denial *denial, struct text *text)
{
	if (denial->policy == NULL) {
		add_outcome(denial, text);
	} else if (denial->findings == NULL) {
		policy_add_denial(denial->policy, denial->request, denial->verdict, text);
	} else {
		findings_add_denial(denial->findings, FINDINGS_LOG,
		        docker_operation_name(denial->request->served_id),
		        policy_name(denial->policy), text);
	}
}

/* What a line says beside what the denial has in words. */
struct words {
	struct text message, advice, tried, sender, name, image, host, times;
	char memory[MESSAGE_MAX + ADVICE_MAX + TRIED_MAX + SENDER_MAX];
	char names[4][NAME_SHOWN_MAX];
};

static void find_words(const struct denial *denial, uint64_t count, struct words *words)
{
	words->message = text_over(words->memory, MESSAGE_MAX);
	words->advice = text_over(words->memory + MESSAGE_MAX, ADVICE_MAX);
	words->tried = text_over(words->memory + MESSAGE_MAX + ADVICE_MAX, TRIED_MAX);
	words->sender = text_over(words->memory + MESSAGE_MAX + ADVICE_MAX + TRIED_MAX, SENDER_MAX);
	words->name = text_over(words->names[0], NAME_SHOWN_MAX);
	words->image = text_over(words->names[1], NAME_SHOWN_MAX);
	words->host = text_over(words->names[2], NAME_SHOWN_MAX);
	words->times = text_over(words->names[3], NAME_SHOWN_MAX);

	text_add(&words->message,
	        denial->verdict->observed ? SLICE("would deny: ") : SLICE("denied: "));
	denial_add_reason(denial, &words->message);
	add_advice(denial, &words->advice);
	if (denial->policy != NULL) {
		docker_add_name(denial->request->id, denial->query, &words->name);
		docker_add_image(denial->request->id, denial->query, &words->image);
	}
	if (denial->client == NULL && denial->clients != NULL) {
		clients_add_tried(denial->clients, denial->sender, &words->tried);
		sender_add(denial->sender, &words->sender);
	}
	caller_add_host(denial->caller, &words->host);
	text_add_u64(&words->times, count);
}

static void log_denial(const struct denial *denial, const char *what, uint64_t count)
{
	const struct verdict *verdict = denial->verdict;
	const bool judged = denial->policy != NULL;
	const char *client = denial->client != NULL ? denial->client->name : "";
	struct words words;

	find_words(denial, count, &words);
	const struct log_field fields[] = {
	        {judged ? "op" : "outcome", slice_of(what), false, true},
	        {"policy", slice_of(judged ? policy_name(denial->policy) : ""), false, true},
	        {"rule", slice_of(verdict->rule != NULL ? verdict->rule : ""), false, true},
	        {"advice", text_slice(&words.advice), false, true},
	        {"name", text_slice(&words.name), false, false},
	        {"image", text_slice(&words.image), false, false},
	        {"method", shown(denial->method, METHOD_SHOWN_MAX), false, false},
	        {"path", shown(denial->path, PATH_SHOWN_MAX), false, false},
	        {"client", text_slice(&words.host), false, false},
	        {"identity", slice_of(client), false, false},
	        {"engine", slice_of(denial->engine != NULL ? denial->engine : ""), false, false},
	        {"tried", text_slice(&words.tried), false, false},
	        {"sender", text_slice(&words.sender), false, false},
	        {"denied", text_slice(&words.times), true, false},
	};
	(void)log_event(LOG_WARNING, text_slice(&words.message), fields, ARRAY_LEN(fields));
}

void denials_report(struct denials *denials, int64_t now_ns, const struct denial *denial)
{
	const char *what = denial->policy != NULL ? docker_operation_name(denial->request->id)
	                                          : outcome_word(denial->outcome);
	const uint32_t topic =
	        (denial->findings == NULL ? 0 : findings_hash(denial->findings)) ^
	        (denial->client == NULL ? 0 : client_hash(denial->client)) ^
	        (denial->engine == NULL ? 0 : hash_bytes(HASH_START, slice_of(denial->engine)));
	const uint64_t count = denials_count(
	        denials, now_ns, denial->caller, what, denial->verdict->observed, topic);

	recent_note(denials->recent, denial);
	if (count > 0) {
		log_denial(denial, what, count);
	}
}
