/* SPDX-License-Identifier: MIT */
/*
 * The document that the verb `status` prints, from whoever listens at the address. The first byte
 * is the size of the terminal and whether it has colours. No byte but the program's own is one that
 * a terminal obeys, no line is longer than the terminal is wide, and there are no more lines than
 * it has.
 */
#include "fuzz.h"

#include "json/json.h"
#include "operate/print.h"

#include <stdlib.h>

enum { COLUMNS_LEAST = 20, ROWS_LEAST = 3 };

static struct json_node nodes[JSON_NODES_MAX];

static void check_lines(struct slice lines, const struct page *page)
{
	struct slice line;
	unsigned count = 0;

	for (size_t i = 0; i < lines.len; i++) {
		const char c = lines.ptr[i];
		ASSERT((c >= 0x20 && c < 0x7f) || c == '\n' || (c == '\033' && page->colour));
	}
	while (lines.len > 0 && slice_next(&lines, '\n', &line)) {
		ASSERT(page->colour || page->columns == 0 || line.len <= page->columns);
		count++;
	}
	ASSERT(count <= page->printed);
	ASSERT(page->rows == 0 || page->printed <= page->rows);
}

static void print_one(
        void (*print)(struct page *page, const struct json_node *root), unsigned setup)
{
	struct page page = {
	        .colour = (setup & 1) != 0,
	        .columns = (setup & 2) != 0 ? COLUMNS_LEAST + (setup >> 3) * 5 : 0,
	        .rows = (setup & 4) != 0 ? ROWS_LEAST + (setup >> 3) : 0,
	};
	char *lines = NULL;
	size_t len = 0;

	page.out = open_memstream(&lines, &len);
	ASSERT(page.out != NULL);
	print(&page, nodes);
	ASSERT(fclose(page.out) == 0);
	check_lines((struct slice){lines, len}, &page);
	free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint32_t marks[JSON_MARKS_MAX];
	static char strings[64 * 1024];
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};

	if (size > 1 && size <= sizeof(strings) &&
	        json_read(&document, (struct slice){(const char *)data + 1, size - 1}) == JSON_OK &&
	        nodes->type == JSON_OBJECT) {
		print_one(print_state, data[0]);
		print_one(print_streams, data[0]);
	}
	return 0;
}
