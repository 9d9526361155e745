/* SPDX-License-Identifier: MIT */
/* document — what the admin listener answers, as JSON. Private to operate/. */
#ifndef OPERATE_DOCUMENT_H
#define OPERATE_DOCUMENT_H

#include "json/json.h"
#include "operate/fetch.h"

enum { REPORT_MAX = 4096 };

/* The root of the document; NULL: it is none. It lives as long as the answer; document_free(). */
const struct json_node *document_read(struct json_document *document, const struct answer *answer);
void document_free(struct json_document *document);

/* Append what is printable; other bytes become question marks. */
void document_add_plain(struct slice value, struct text *text);
/* Append the `message` of an answer, or what stands in its place. */
void document_add_message(const struct answer *answer, struct text *text);

#endif
