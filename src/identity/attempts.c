/* SPDX-License-Identifier: MIT */
#include "identity/attempts.h"

#include "base/clock.h"

void attempts_init(struct attempts *attempts)
{
	(void)pthread_mutex_init(&attempts->lock, NULL);
}

/* The entry of the caller's site. NULL: it has none, and none is made. */
static struct attempts_entry *find(
        struct attempts *attempts, int64_t now_ns, const struct caller *caller, bool make)
{
	const struct caller site = caller_site(caller);
	const unsigned set = (caller_hash(&site) ^ site.peer.uid) % ATTEMPTS_SETS;
	struct attempts_entry *entries = attempts->entries[set];
	struct attempts_entry *oldest = &entries[0];

	for (unsigned i = 0; i < ATTEMPTS_WAYS; i++) {
		if (entries[i].seen_ns != 0 && caller_same_user(&entries[i].caller, &site)) {
			return &entries[i];
		}
		oldest = entries[i].seen_ns < oldest->seen_ns ? &entries[i] : oldest;
	}
	if (!make) {
		return NULL;
	}
	*oldest = (struct attempts_entry){.caller = site, .seen_ns = now_ns};
	return oldest;
}

/* Time forgives. */
static void settle(struct attempts_entry *entry, int64_t now_ns)
{
	entry->debt_ns -= now_ns - entry->seen_ns;
	entry->debt_ns = entry->debt_ns < 0 ? 0 : entry->debt_ns;
	entry->seen_ns = now_ns;
}

struct slowdown attempts_look(
        struct attempts *attempts, int64_t now_ns, const struct caller *caller)
{
	struct slowdown slowdown = {.slowed = false};

	if (atomic_load_explicit(&attempts->misses, memory_order_relaxed) == 0) {
		return slowdown;
	}
	(void)pthread_mutex_lock(&attempts->lock);
	struct attempts_entry *entry = find(attempts, now_ns, caller, false);
	if (entry != NULL) {
		settle(entry, now_ns);
		slowdown = entry->slowdown;
		slowdown.slowed = entry->debt_ns > (ATTEMPTS_BURST - 1) * NS_PER_S;
	}
	(void)pthread_mutex_unlock(&attempts->lock);
	return slowdown;
}

void attempts_missed(struct attempts *attempts, int64_t now_ns, const struct caller *caller)
{
	(void)atomic_fetch_add_explicit(&attempts->misses, 1, memory_order_relaxed);
	(void)pthread_mutex_lock(&attempts->lock);
	struct attempts_entry *entry = find(attempts, now_ns, caller, true);
	settle(entry, now_ns);
	entry->debt_ns += NS_PER_S;
	(void)pthread_mutex_unlock(&attempts->lock);
}

void attempts_met(struct attempts *attempts, int64_t now_ns, const struct caller *caller,
        const struct client *client)
{
	(void)pthread_mutex_lock(&attempts->lock);
	struct slowdown *slowdown = &find(attempts, now_ns, caller, true)->slowdown;
	slowdown->slowed = true;
	if (!client_may_present(client, slowdown)) {
		slowdown->known[slowdown->known_count++ % CLIENTS_KNOWN_MAX] = client_hash(client);
	}
	(void)pthread_mutex_unlock(&attempts->lock);
}
