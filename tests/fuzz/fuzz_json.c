/* SPDX-License-Identifier: MIT */
/*
 * JSON documents: what is read has its parts where they belong and no two names that Go takes for
 * one; written anew it is no longer, and is read as the same, again and again.
 */
#include "fuzz.h"
#include "json/json.h"

#include <stdlib.h>

/* A document with memory of its own, of exactly the size it may use. */
struct owned {
	struct json_document document;
	char *written;
	struct text text;
};

static void begin(struct owned *owned, size_t len)
{
	const size_t room = len > 0 ? len : 1;

	owned->document.nodes = malloc(JSON_NODES_MAX * sizeof(owned->document.nodes[0]));
	owned->document.marks = malloc(JSON_MARKS_MAX * sizeof(owned->document.marks[0]));
	owned->document.strings = malloc(room);
	owned->written = malloc(room);
	ASSERT(owned->document.nodes != NULL && owned->document.marks != NULL &&
	        owned->document.strings != NULL && owned->written != NULL);
	owned->text = text_over(owned->written, len);
}

static void end(struct owned *owned)
{
	free(owned->document.nodes);
	free(owned->document.marks);
	free(owned->document.strings);
	free(owned->written);
}

static void check_name(const struct json_node *object, const struct json_node *member)
{
	ASSERT(member->name.ptr != NULL);
	for (size_t i = 0; i < member->name.len; i++) {
		ASSERT((unsigned char)member->name.ptr[i] >= 0x20 && member->name.ptr[i] != 0x7f);
		ASSERT(object->ambiguous || (unsigned char)member->name.ptr[i] < 0x80);
	}
	/* It is the only one, or the object says that it is not. */
	ASSERT(object->ambiguous || json_member(object, member->name) == member);
}

/* What a container holds is all of it, each part behind the other. */
static void check_container(const struct json_node *container)
{
	const struct json_node *behind = container + 1;
	unsigned left = 64; /* names to compare with all others */

	for (const struct json_node *at = json_first(container); at != NULL;
	        at = json_next(container, at)) {
		ASSERT(at == behind && at->size >= 1);
		behind = at + at->size;
		if (container->type == JSON_ARRAY) {
			ASSERT(at->name.ptr == NULL);
		} else if (left > 0) {
			check_name(container, at);
			left--;
		}
	}
	ASSERT(behind == container + container->size);
}

static void check_nodes(const struct json_document *document)
{
	int64_t number;

	ASSERT(document->count >= 1 && document->count <= JSON_NODES_MAX);
	ASSERT(document->nodes->size == document->count && document->nodes->name.ptr == NULL);
	for (uint32_t i = 0; i < document->count; i++) {
		const struct json_node *node = &document->nodes[i];
		ASSERT(i + node->size <= document->count);
		if (node->type >= JSON_ARRAY) {
			check_container(node);
		} else {
			ASSERT(node->size == 1);
		}
		if (node->type == JSON_NUMBER) {
			(void)json_integer(node, &number);
		}
	}
}

static void check_same(const struct json_document *a, const struct json_document *b)
{
	ASSERT(a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct json_node *x = &a->nodes[i];
		const struct json_node *y = &b->nodes[i];
		ASSERT(x->type == y->type && x->size == y->size);
		ASSERT((x->name.ptr == NULL) == (y->name.ptr == NULL));
		ASSERT(x->name.ptr == NULL || slice_equal(x->name, y->name));
		if (x->type == JSON_STRING || x->type == JSON_NUMBER) {
			ASSERT(slice_equal(x->text, y->text));
		}
	}
}

static void write_document(struct owned *owned)
{
	json_write(owned->document.nodes, &owned->text);
	ASSERT(!owned->text.overflow); /* it is no longer than what was read */
}

static void check_written(const struct owned *first, struct slice written)
{
	struct owned again;

	begin(&again, written.len);
	const enum json_error error = json_read(&again.document, written);
	ASSERT(error == JSON_OK);
	check_same(&first->document, &again.document);
	write_document(&again);
	ASSERT(slice_equal(written, text_slice(&again.text)));
	end(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice input = {(const char *)bytes, len};
	struct owned first;

	begin(&first, len);
	const enum json_error error = json_read(&first.document, input);
	ASSERT(first.document.error_at <= len);
	if (error == JSON_OK) {
		ASSERT(first.document.error_at == len);
		check_nodes(&first.document);
		write_document(&first);
		check_written(&first, text_slice(&first.text));
	} else {
		ASSERT(json_error_text(error)[0] != '\0');
	}
	end(&first);
	return 0;
}
