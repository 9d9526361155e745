/* SPDX-License-Identifier: MIT */
/*
 * record — struct learn. Private to learn/.
 */
#ifndef LEARN_RECORD_H
#define LEARN_RECORD_H

#include "learn/learn.h"

#include <pthread.h>

enum { LEARN_METHOD_MAX = 32 };

/* The client of the configuration when it asked first, for the configuration may change. */
struct learned_client {
	unsigned number; /* among the entries */
	int64_t until_s;
	char name[CLIENT_NAME_MAX + 1]; /* "": `caller` tells who it is */
	char *match;                    /* its conditions as YAML; NULL: they are too long */
};

/* The requests of one client. */
struct page {
	struct learned_client client;
	struct caller caller; /* known by its host and user */
	bool of_others;       /* shared by all callers beyond the ceiling */
	uint64_t requests;
	uint64_t uncounted; /* unknown requests beyond the ceiling, or that no rule can name */
	unsigned word_count;
	bool words_lost; /* there were more than LEARN_WORDS_MAX, or some that no key opens */
	struct inspect_word words[LEARN_WORDS_MAX]; /* that keys of blocks must have */
	uint32_t counts[]; /* by request id, the first id of the operation */
};

/* A request that no row of the catalogue fits. */
struct unknown_request {
	const struct page *page;
	bool served; /* by the Engine, at least once */
	uint32_t count;
	size_t method_len;
	size_t path_len;
	char method[LEARN_METHOD_MAX];
	char path[LEARN_PATH_MAX];
};

struct learn {
	pthread_mutex_t lock;
	struct page *pages[LEARN_CLIENTS_MAX];
	unsigned page_count;
	unsigned unknown_count;
	struct unknown_request unknown[LEARN_UNKNOWN_MAX];
	unsigned first[]; /* by request id: the first id of the same operation */
};

/* Whether the client of the page is one of the configuration. */
static inline bool is_entry(const struct page *page)
{
	return page->client.name[0] != '\0';
}

/* Append who it is: 192.0.2.1, unix, or client 'ci'. */
void learn_add_client(const struct page *page, struct text *text);

/* The pages, in the order in which they are printed. */
struct chapters {
	unsigned count;
	const struct page *pages[LEARN_CLIENTS_MAX];
	bool is_one; /* one policy holds for all, because no entry of `clients` is needed */
};

/* Clients of the configuration come first, in its order: the first entry that holds decides. */
struct chapters learn_sort(const struct learn *learn);
/* Append the name of the policy of a page. */
void learn_add_policy(const struct chapters *chapters, unsigned number, struct text *text);
/* Print `clients:`, which gives each its policy. */
void learn_print_clients(
        const struct chapters *chapters, const struct learn_setting *setting, FILE *out);
/* Append the name of a listener; nothing if it needs none. */
void learn_add_listener(const struct learn_setting *setting, unsigned number, struct text *text);
/* Append the name of the policy for who is none of the clients. */
void learn_add_rest(const struct chapters *chapters, struct text *text);

#endif
