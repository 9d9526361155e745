/* SPDX-License-Identifier: MIT */
#include "admin/dashboard.h"

#include "admin/internal.h"

#include <sys/mman.h>
#include <unistd.h>

/* No other site may frame the page, load it, or learn its address. */
static void add_head(const struct admin_connection *connection, struct text *text)
{
	text_add_format(text,
	        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	        "Content-Length: %zu\r\n",
	        dashboard_page_len);
	text_add_format(text, "Content-Security-Policy: %s\r\n", dashboard_policy);
	text_add(text, SLICE("X-Frame-Options: DENY\r\n"
	                     "X-Content-Type-Options: nosniff\r\n"
	                     "Referrer-Policy: no-referrer\r\n"
	                     "Cross-Origin-Resource-Policy: same-origin\r\n"
	                     "Cache-Control: no-store\r\n"));
	if (!connection->keep) {
		text_add(text, SLICE("Connection: close\r\n"));
	}
	text_add(text, SLICE("\r\n"));
}

/* What was read of the page goes back to the system, as after the start: the page is asked for once
 * in a while. Only what nobody writes to may be dropped, and the linker puts nothing else beside
 * it. */
static void drop_page(void)
{
	const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = (uintptr_t)dashboard_page & ~(size - 1);
	const uintptr_t end = (uintptr_t)dashboard_page + dashboard_page_len;

	(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static void add_piece(struct admin_connection *connection, struct text *text)
{
	const size_t left = dashboard_page_len - connection->page_sent;
	const size_t room = text->cap - text->len;
	const size_t len = left < room ? left : room;

	text_add(text, (struct slice){dashboard_page + connection->page_sent, len});
	connection->page_sent += len;
	connection->is_whole = len == left;
	if (connection->is_whole) {
		drop_page();
	}
}

enum admin_next admin_send_page(struct admin_connection *connection)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	add_head(connection, &text);
	connection->page_sent = 0;
	connection->is_whole = connection->to_head;
	if (!connection->to_head) {
		add_piece(connection, &text);
	}
	connection->out_len = text.len;
	connection->out_sent = 0;
	return text.overflow ? ADMIN_CLOSE : admin_enter(connection, ADMIN_SEND);
}

void admin_fill_page(struct admin_connection *connection)
{
	struct text text = text_over(connection->out, sizeof(connection->out));

	add_piece(connection, &text);
	connection->out_len = text.len;
	connection->out_sent = 0;
}
