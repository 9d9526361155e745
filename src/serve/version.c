/* SPDX-License-Identifier: MIT */
/* version — what an Engine answers to GET /version. */
#include "json/json.h"
#include "serve/internal.h"

#include <stdlib.h>

enum { NODES_MAX = 2048 };

static void keep_member(
        const struct json_node *root, struct slice name, char memory[RELEASE_WORD_MAX + 1])
{
	const struct json_node *member = root == NULL ? NULL : json_member(root, name);
	const bool known = member != NULL && member->type == JSON_STRING;

	memory[text_keep(memory, RELEASE_WORD_MAX, known ? member->text : SLICE(""))] = '\0';
}

void release_keep(struct release *release, struct slice answer)
{
	struct json_document document = {
	        .most = NODES_MAX,
	        .nodes = calloc(NODES_MAX, sizeof(*document.nodes)),
	        .marks = calloc(NODES_MAX, 2 * sizeof(*document.marks)),
	        .strings = malloc(answer.len + 1),
	};
	const bool read = document.nodes != NULL && document.marks != NULL &&
	                  document.strings != NULL && json_read(&document, answer) == JSON_OK &&
	                  document.nodes->type == JSON_OBJECT;
	const struct json_node *root = read ? document.nodes : NULL;

	keep_member(root, SLICE("Version"), release->version);
	keep_member(root, SLICE("ApiVersion"), release->api_version);
	free(document.nodes);
	free(document.marks);
	free(document.strings);
}
