/* SPDX-License-Identifier: MIT */
/* fetch — a request to the admin listener, and its whole answer. Blocking. Private to operate/. */
#ifndef OPERATE_FETCH_H
#define OPERATE_FETCH_H

#include "config/config.h"
#include "health/target.h"

/* Where requests go, and with what. */
struct place_to_ask {
	struct targets targets;
	char *certificate; /* file of that of the other side, on the heap; NULL: not known */
	const char *ca_file;
	size_t key_len; /* 0: there is none */
	char key[KEY_MAX + 1];
};

struct answer {
	char *memory; /* on the heap */
	unsigned status;
	struct slice body;
};

/* Find it, and the key. False: `error` says why. Then, and at the end, place_free(). */
bool place_find(const struct config_request *asked, const char *file,
        struct place_to_ask *ret_place, char error[FAULT_MAX]) MUST_USE;
void place_free(struct place_to_ask *place);

/* 0 and the answer; 0 is any status. -1: `error` says why there is none. */
int fetch(const struct place_to_ask *place, const char *method, struct slice path,
        unsigned timeout_s, struct answer *ret_answer, char error[FAULT_MAX]) MUST_USE;
void answer_free(struct answer *answer);

#endif
