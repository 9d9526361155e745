/* SPDX-License-Identifier: MIT */
#include "limits/accounts.h"

#include "base/hash.h"

#include <stdlib.h>
#include <sys/random.h>

/* The first byte of an owner. */
enum {
	KIND_CLIENT = 'c',
	KIND_HOST = 'h',
};

/* ── The table ───────────────────────────────────────────────────────────── */

struct accounts *accounts_new(void)
{
	struct accounts *accounts = calloc(1, sizeof(*accounts));

	if (accounts == NULL) {
		return NULL;
	}
	list_init(&accounts->idle);
	list_init(&accounts->others.idle);
	(void)pthread_mutex_init(&accounts->lock, NULL);
	if (getrandom(&accounts->seed, sizeof(accounts->seed), GRND_NONBLOCK) < 0) {
		accounts->seed = 0; /* while the system starts: hashes can be foreseen */
	}
	return accounts;
}

void accounts_free(struct accounts *accounts)
{
	if (accounts != NULL) {
		(void)pthread_mutex_destroy(&accounts->lock);
		free(accounts);
	}
}

/* Who has an account: a letter for the kind, and bytes that tell owners of this kind apart. */
struct owner {
	size_t len;
	char bytes[ACCOUNT_OWNER_MAX];
};

static struct owner owner_of(char kind, struct slice first, struct slice second)
{
	struct owner owner;
	struct text text = text_over(owner.bytes, sizeof(owner.bytes));

	text_add_char(&text, kind);
	text_add(&text, first);
	text_add(&text, second);
	owner.len = text.len;
	return owner;
}

static struct account **place_of(struct accounts *accounts, struct slice owner)
{
	const uint32_t hash = hash_bytes(HASH_START ^ accounts->seed, owner);

	return &accounts->heads[hash % ACCOUNTS_MAX];
}

static struct slice owner_name(const struct account *account)
{
	return (struct slice){account->owner, account->owner_len};
}

/* Forget the owner of an account that nobody refers to. */
static void forget(struct accounts *accounts, struct account *account)
{
	struct account **at = place_of(accounts, owner_name(account));

	while (*at != account) {
		at = &(*at)->next;
	}
	*at = account->next;
	list_remove(&account->idle);
}

/* One that was never in use, or that was left and owes nothing. NULL: there is none. */
static struct account *vacant(struct accounts *accounts, int64_t now_ns)
{
	if (accounts->count < ACCOUNTS_MAX) {
		return &accounts->list[accounts->count++];
	}
	if (list_empty(&accounts->idle)) {
		return NULL;
	}
	struct account *oldest = CONTAINER_OF(accounts->idle.next, struct account, idle);
	if (atomic_load_explicit(&oldest->paid_ns, memory_order_relaxed) > now_ns) {
		return NULL;
	}
	forget(accounts, oldest);
	return oldest;
}

static struct account *make(
        struct accounts *accounts, struct account **place, struct slice owner, int64_t now_ns)
{
	struct account *account = vacant(accounts, now_ns);

	if (account == NULL) {
		return &accounts->others;
	}
	memset(account, 0, sizeof(*account));
	list_init(&account->idle);
	account->owner_len = (unsigned)text_keep(account->owner, sizeof(account->owner), owner);
	account->is_client = account->owner[0] == KIND_CLIENT;
	account->next = *place;
	*place = account;
	return account;
}

static struct account *take(struct accounts *accounts, const struct owner *owner, int64_t now_ns)
{
	const struct slice name = {owner->bytes, owner->len};

	(void)pthread_mutex_lock(&accounts->lock);
	struct account **place = place_of(accounts, name);
	struct account *account = *place;
	while (account != NULL && !slice_equal(owner_name(account), name)) {
		account = account->next;
	}
	if (account == NULL) {
		account = make(accounts, place, name, now_ns);
	}
	list_remove(&account->idle);
	(void)atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
	(void)pthread_mutex_unlock(&accounts->lock);
	return account;
}

struct account *accounts_take_client(struct accounts *accounts, const char *name, int64_t now_ns)
{
	const size_t len = strlen(name);
	const size_t most = ACCOUNT_OWNER_MAX - 1;
	const struct slice shown = {name, len < most ? len : most};
	const struct owner owner = owner_of(KIND_CLIENT, shown, SLICE(""));

	return take(accounts, &owner, now_ns);
}

struct account *accounts_take_host(
        struct accounts *accounts, const struct caller *caller, int64_t now_ns)
{
	const struct caller site = caller_site(caller);
	const bool is_unix = site.peer.group_count > 0;
	const struct slice user = {(const char *)&site.peer.uid, is_unix ? sizeof(uid_t) : 0};
	char memory[64];
	struct text host = text_over(memory, sizeof(memory));

	caller_add_host(&site, &host);
	const struct owner owner = owner_of(KIND_HOST, text_slice(&host), user);
	return take(accounts, &owner, now_ns);
}

void accounts_keep(struct accounts *accounts, struct account *account)
{
	(void)pthread_mutex_lock(&accounts->lock);
	(void)atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
	(void)pthread_mutex_unlock(&accounts->lock);
}

void accounts_give(struct accounts *accounts, struct account *account)
{
	(void)pthread_mutex_lock(&accounts->lock);
	const unsigned before =
	        atomic_fetch_sub_explicit(&account->references, 1, memory_order_relaxed);
	ASSERT(before > 0);
	if (before == 1 && account != &accounts->others) {
		list_append(&accounts->idle, &account->idle);
	}
	(void)pthread_mutex_unlock(&accounts->lock);
}

/* ── Counting ────────────────────────────────────────────────────────────── */

bool account_count(struct account *account, enum limit limit, uint64_t most)
{
	const unsigned before =
	        atomic_fetch_add_explicit(&account->held[limit], 1, memory_order_relaxed);

	if (most == 0 || before < most) {
		return true;
	}
	account_uncount(account, limit);
	return false;
}

void account_uncount(struct account *account, enum limit limit)
{
	const unsigned before =
	        atomic_fetch_sub_explicit(&account->held[limit], 1, memory_order_relaxed);

	ASSERT(before > 0);
}

unsigned account_held(const struct account *account, enum limit limit)
{
	return atomic_load_explicit(&account->held[limit], memory_order_relaxed);
}

unsigned account_references(const struct account *account)
{
	return atomic_load_explicit(&account->references, memory_order_relaxed);
}

void accounts_refuse(struct accounts *accounts, struct account *account, enum limit limit)
{
	struct account *tally = account->is_client ? account : &accounts->others;

	(void)atomic_fetch_add_explicit(&tally->refused[limit], 1, memory_order_relaxed);
}

/*
 * A bucket of tokens as one number: each request pays `cost_ns` of time in advance, at most
 * `period_ns` of it. 0; or how long to wait.
 */
static int64_t pay(struct account *account, int64_t cost_ns, int64_t period_ns, int64_t now_ns)
{
	int64_t paid_ns = atomic_load_explicit(&account->paid_ns, memory_order_relaxed);
	int64_t next_ns;

	do {
		next_ns = (paid_ns > now_ns ? paid_ns : now_ns) + cost_ns;
		if (next_ns - now_ns > period_ns) {
			return next_ns - now_ns - period_ns;
		}
	} while (!atomic_compare_exchange_weak_explicit(
	        &account->paid_ns, &paid_ns, next_ns, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

enum limit holding_take(struct holding *holding, struct account *account,
        const struct limits *limits, unsigned wanted, int64_t now_ns, int64_t *ret_wait_ns)
{
	*ret_wait_ns = 0;
	holding->account = account;
	for (unsigned i = 0; limits != NULL && i < LIMIT_COUNT; i++) {
		const uint64_t most = limits->of[i].value;
		if (most == 0 || (wanted & 1U << i) == 0) {
			continue;
		}
		if (i == LIMIT_RATE) {
			*ret_wait_ns = pay(account, (int64_t)most, limits->period_ns, now_ns);
			if (*ret_wait_ns > 0) {
				return LIMIT_RATE;
			}
		} else if (account_count(account, (enum limit)i, most)) {
			holding->limits |= 1U << i;
		} else {
			return (enum limit)i;
		}
	}
	return LIMIT_COUNT;
}

void holding_give(struct holding *holding)
{
	for (unsigned i = 0; holding->limits != 0 && i < LIMIT_COUNT; i++) {
		if ((holding->limits & 1U << i) != 0) {
			account_uncount(holding->account, (enum limit)i);
		}
	}
	holding->given = holding->limits;
	holding->limits = 0;
}

void holding_keep(struct holding *holding)
{
	for (unsigned i = 0; holding->given != 0 && i < LIMIT_COUNT; i++) {
		if ((holding->given & 1U << i) != 0) {
			const bool counted =
			        account_count(holding->account, (enum limit)i, UINT64_MAX);
			ASSERT(counted);
		}
	}
	holding->limits |= holding->given;
	holding->given = 0;
}
