/* SPDX-License-Identifier: MIT */
/*
 * record — struct learn. Private to learn/.
 */
#ifndef LEARN_RECORD_H
#define LEARN_RECORD_H

#include "learn/learn.h"

#include <pthread.h>

enum { LEARN_METHOD_MAX = 32 };

/* The requests of one client. */
struct page {
	struct caller caller; /* identified by its host */
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

#endif
