/* SPDX-License-Identifier: MIT */
/*
 * container — the container that a client runs in, as the Engine describes it.
 */
#ifndef IDENTITY_CONTAINER_H
#define IDENTITY_CONTAINER_H

#include "base/slice.h"

#include <stdbool.h>

enum {
	CONTAINER_ID_LEN = 64, /* hexadecimal digits */
	CONTAINER_LABELS_MAX = 256,
	CONTAINER_TEXT_MAX = 16 * 1024, /* bytes of name, image and labels */
};

struct container_label {
	struct slice name, value;
};

struct container {
	struct slice id;
	struct slice name;  /* without the slash in front of it */
	struct slice image; /* as it was named when the container was made */
	unsigned label_count;
	struct container_label labels[CONTAINER_LABELS_MAX];
	size_t len;                      /* bytes of `memory` in use */
	char memory[CONTAINER_TEXT_MAX]; /* of all slices */
};

/* Forget all. */
void container_begin(struct container *container);
/* Copy `text` into the memory. False: it is full. */
bool container_keep(struct container *container, struct slice text, struct slice *ret_kept);
/* Make `to`, whose memory may be anything, the same. */
void container_copy(struct container *to, const struct container *from);
/* The value of the label; ptr NULL: there is no such label. */
struct slice container_label(const struct container *container, struct slice name);

#endif
