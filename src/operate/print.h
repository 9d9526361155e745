/* SPDX-License-Identifier: MIT */
/* print — the document of /api/state for people. Private to operate/. */
#ifndef OPERATE_PRINT_H
#define OPERATE_PRINT_H

#include "json/json.h"

#include <stdbool.h>
#include <stdio.h>

struct page {
	FILE *out;
	bool colour;
	unsigned columns; /* longer lines are cut; 0: none is */
	unsigned rows;    /* further lines are left out; 0: none is */
	unsigned printed; /* lines so far */
};

/* The whole of it, and the table of streams. */
void print_state(struct page *page, const struct json_node *root);
void print_streams(struct page *page, const struct json_node *root);
/* In place of it. */
void print_problem(struct page *page, struct slice problem);

#endif
