/* SPDX-License-Identifier: MIT */
/* table — rows.def as an array. Private to redact/. */
#ifndef REDACT_TABLE_H
#define REDACT_TABLE_H

#include "redact/redact.h"

enum {
	ROW_NONE = 0xff, /* a name that no row has */
	ROW_ROOT = 0xfe, /* no name: the document itself */
};

struct row {
	const char *path;
	unsigned kinds;
	enum redact_shape shape;
	const char *operations;
};

extern const struct row redact_rows[];
extern const unsigned redact_row_count;

static inline unsigned name_hash(struct slice name)
{
	const unsigned char *bytes = (const unsigned char *)name.ptr;

	return name.len == 0 ? 0
	                     : ((unsigned)name.len * 5 + bytes[0] * 3U + bytes[name.len - 1]) %
	                               REDACT_HASHES;
}

static inline bool redaction_uses(const struct redaction *redaction, unsigned row)
{
	return (redaction->rows[row / 64] >> (row % 64) & 1) != 0;
}

/* Whether a pattern for labels fits the name. */
bool redact_fits_label(const struct redact_wishes *wishes, struct slice name);

#endif
