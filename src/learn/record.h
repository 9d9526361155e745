/* SPDX-License-Identifier: MIT */
/*
 * record — what struct learn holds; private to learn/.
 */
#ifndef LEARN_RECORD_H
#define LEARN_RECORD_H

#include "learn/learn.h"

#include <pthread.h>

enum { LEARN_METHOD_MAX = 32 };

/* What one client asked for. */
struct page {
	struct caller caller; /* its host counts */
	bool of_others;       /* of all callers for whom there was no page left */
	uint64_t requests;
	uint64_t uncounted; /* requests no row fits for which there was no room or can be no rule */
	uint32_t counts[];  /* by request id, the first of those that are one operation */
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
