/* SPDX-License-Identifier: MIT */
#include "operate/document.h"

#include <stdlib.h>

enum { NODES_MAX = 1024 * 1024 };

const struct json_node *document_read(struct json_document *document, const struct answer *answer)
{
	*document = (struct json_document){
	        .most = NODES_MAX,
	        .nodes = check_memory(calloc(NODES_MAX, sizeof(*document->nodes))),
	        .marks = check_memory(calloc(2 * (size_t)NODES_MAX, sizeof(*document->marks))),
	        .strings = check_memory(malloc(answer->body.len + 1)),
	};
	return json_read(document, answer->body) == JSON_OK ? document->nodes : NULL;
}

void document_free(struct json_document *document)
{
	free(document->nodes);
	free(document->marks);
	free(document->strings);
}

void document_add_plain(struct slice value, struct text *text)
{
	for (size_t i = 0; i < value.len; i++) {
		const char c = value.ptr[i];
		text_add_char(text, c >= 0x20 && c < 0x7f ? c : '?');
	}
}

void document_add_message(const struct answer *answer, struct text *text)
{
	struct json_document document;
	const struct json_node *root = document_read(&document, answer);
	const struct json_node *message = root == NULL ? NULL : json_member(root, SLICE("message"));

	if (message != NULL && message->type == JSON_STRING) {
		document_add_plain(message->text, text);
	} else {
		text_add_format(text, "the admin listener responds with %u", answer->status);
	}
	if (answer->status == 401) {
		text_add(text, SLICE(" (ADMIN_KEY, or --key-file FILE)"));
	}
	document_free(&document);
}
