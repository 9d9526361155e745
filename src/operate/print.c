/* SPDX-License-Identifier: MIT */
#include "operate/print.h"

#include "base/clock.h"
#include "base/text.h"
#include "operate/document.h"

#include <inttypes.h>
#include <limits.h>

enum {
	LINE_MAX_LEN = 4096,
	CELL_MAX = 96,
	COLUMNS_MAX = 8,
	NAME_SHOWN = 24, /* columns of a name in a table */
	DENIALS_SHOWN = 10,
	INDENT = 10,
	WIDTH = 100, /* of sentences, where the terminal does not say */
	WIDTH_MIN = 40,
	SENTENCE_LINES_MAX = 6,
};

enum style { PLAIN, BOLD, DIM, RED, GREEN, YELLOW };

static const char *const escapes[] = {
        [PLAIN] = "",
        [BOLD] = "\033[1m",
        [DIM] = "\033[2m",
        [RED] = "\033[31m",
        [GREEN] = "\033[32m",
        [YELLOW] = "\033[33m",
};

/* ── Lines ───────────────────────────────────────────────────────────────── */

/* One line, of which all was made printable before. */
static void put(struct page *page, enum style style, struct slice line)
{
	const size_t most = page->columns > 0 ? page->columns : line.len;
	const bool styled = page->colour && style != PLAIN;

	if (page->rows > 0 && page->printed >= page->rows) {
		return;
	}
	page->printed++;
	(void)fprintf(page->out, "%s%.*s%s\n", styled ? escapes[style] : "",
	        (int)(line.len < most ? line.len : most), line.ptr, styled ? "\033[0m" : "");
}

static void put_text(struct page *page, enum style style, const struct text *text)
{
	put(page, style, text_slice(text));
}

/* A sentence, broken at spaces. */
static void put_sentence(struct page *page, enum style style, struct slice sentence)
{
	const unsigned columns = page->columns > 0 ? page->columns : WIDTH;
	const size_t width = columns > WIDTH_MIN ? columns - INDENT : WIDTH_MIN - INDENT;
	char memory[LINE_MAX_LEN];

	for (unsigned lines = 0; sentence.len > 0 && lines < SENTENCE_LINES_MAX; lines++) {
		size_t len = sentence.len < width ? sentence.len : width;
		const char *space = len < sentence.len ? memrchr(sentence.ptr, ' ', len) : NULL;
		len = space != NULL && space > sentence.ptr ? (size_t)(space - sentence.ptr) : len;
		struct text text = text_over(memory, sizeof(memory));
		text_add_format(&text, "%*s%.*s", INDENT, "", (int)len, sentence.ptr);
		put_text(page, style, &text);
		sentence = slice_behind(sentence, len);
		(void)slice_skip(&sentence, SLICE(" "));
	}
}

/* ── Values ──────────────────────────────────────────────────────────────── */

static const struct json_node *find(const struct json_node *node, const char *path)
{
	return node == NULL ? NULL : json_find(node, path);
}

/* Of a string, printable; of others what they are; `none` of null. */
static void add_value(const struct json_node *node, const char *none, struct text *text)
{
	if (node == NULL || node->type == JSON_NULL ||
	        (node->type == JSON_STRING && node->text.len == 0)) {
		text_add(text, slice_of(none));
	} else if (node->type == JSON_STRING || node->type == JSON_NUMBER) {
		document_add_plain(node->text, text);
	} else {
		text_add(text, node->type == JSON_TRUE ? SLICE("true") : SLICE("false"));
	}
}

static void add(const struct json_node *node, const char *path, const char *none, struct text *text)
{
	add_value(find(node, path), none, text);
}

static bool is_none(const struct json_node *name)
{
	return name == NULL || name->type != JSON_STRING || name->text.len == 0;
}

static bool is_true(const struct json_node *node)
{
	return node != NULL && node->type == JSON_TRUE;
}

static int64_t number_of(const struct json_node *node)
{
	int64_t value = 0;

	return node != NULL && node->type == JSON_NUMBER && json_integer(node, &value) ? value : 0;
}

static int64_t number_at(const struct json_node *node, const char *path)
{
	return number_of(find(node, path));
}

/* Whole seconds of "12.345". */
static int64_t seconds_of(const struct json_node *node)
{
	struct slice whole = node == NULL ? SLICE("0") : node->text;
	struct slice rest = whole;
	uint64_t seconds = 0;

	(void)slice_next(&rest, '.', &whole);
	return slice_to_u64(whole, INT64_MAX, &seconds) < 0 ? 0 : (int64_t)seconds;
}

static int64_t time_of(const struct json_node *node)
{
	int64_t seconds = 0;
	unsigned ns = 0;

	return node != NULL && node->type == JSON_STRING && clock_read(node->text, &seconds, &ns)
	               ? seconds
	               : 0;
}

/* "3 d 4 h", "12 s" */
static void add_duration(int64_t seconds, struct text *text)
{
	static const struct {
		int64_t length;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	unsigned i = 0;

	seconds = seconds > 0 ? seconds : 0;
	while (i + 1 < ARRAY_LEN(units) && seconds < units[i].length) {
		i++;
	}
	text_add_format(text, "%" PRId64 " %s", seconds / units[i].length, units[i].name);
	if (i + 1 < ARRAY_LEN(units) && seconds % units[i].length >= units[i + 1].length) {
		text_add_format(text, " %" PRId64 " %s",
		        seconds % units[i].length / units[i + 1].length, units[i + 1].name);
	}
}

static void add_bytes(int64_t bytes, struct text *text)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned i = 0;

	/* The number is the other side's. */
	bytes = bytes > 0 ? bytes : 0;
	int64_t tenths = bytes < INT64_MAX / 10 ? bytes * 10 : INT64_MAX;
	while (i + 1 < ARRAY_LEN(units) && tenths >= 10240) {
		tenths /= 1024;
		i++;
	}
	if (i == 0) {
		text_add_format(text, "%" PRId64 " B", bytes);
	} else {
		text_add_format(
		        text, "%" PRId64 ".%" PRId64 " %s", tenths / 10, tenths % 10, units[i]);
	}
}

/* ── Tables ──────────────────────────────────────────────────────────────── */

struct table {
	const char *const *heads;
	unsigned columns;
	/* Fill a row: one text for each column. */
	void (*fill)(const struct json_node *item, struct text cells[COLUMNS_MAX]);
	bool (*is_bad)(const struct json_node *item); /* NULL: none is */
};

static void fill_row(const struct table *table, const struct json_node *item,
        char memory[COLUMNS_MAX][CELL_MAX], struct text cells[COLUMNS_MAX])
{
	for (unsigned i = 0; i < table->columns; i++) {
		cells[i] = text_over(memory[i], CELL_MAX);
	}
	table->fill(item, cells);
}

static void measure(
        const struct table *table, const struct json_node *list, size_t widths[COLUMNS_MAX])
{
	char memory[COLUMNS_MAX][CELL_MAX];
	struct text cells[COLUMNS_MAX];

	for (unsigned i = 0; i < table->columns; i++) {
		widths[i] = strlen(table->heads[i]);
	}
	for (const struct json_node *item = json_first(list); item != NULL;
	        item = json_next(list, item)) {
		fill_row(table, item, memory, cells);
		for (unsigned i = 0; i < table->columns; i++) {
			widths[i] = cells[i].len > widths[i] ? cells[i].len : widths[i];
		}
	}
}

static void add_cell(struct slice cell, size_t width, bool last, struct text *line)
{
	text_add_format(
	        line, last ? "%.*s" : "%.*s%*s", SLICE_FMT(cell), (int)(width - cell.len) + 2, "");
}

/* How many rows a table may have, so that something of what is below is seen too. */
static unsigned rows_for(const struct page *page)
{
	enum { BELOW = 9, LEAST = 2 };
	const unsigned left = page->rows > page->printed ? page->rows - page->printed : 0;

	if (page->rows == 0) {
		return UINT_MAX;
	}
	return left > BELOW + LEAST ? left - BELOW : LEAST;
}

static void put_rest(struct page *page, unsigned left_out)
{
	char memory[80];
	struct text line = text_over(memory, sizeof(memory));

	if (left_out > 0) {
		text_add_format(&line, "and %u more", left_out);
		put_text(page, DIM, &line);
	}
}

static void put_table(
        struct page *page, const struct table *table, const struct json_node *list, unsigned most)
{
	char memory[COLUMNS_MAX][CELL_MAX];
	struct text cells[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX];
	char line_memory[LINE_MAX_LEN];
	struct text line = text_over(line_memory, sizeof(line_memory));

	measure(table, list, widths);
	for (unsigned i = 0; i < table->columns; i++) {
		add_cell(slice_of(table->heads[i]), widths[i], i + 1 == table->columns, &line);
	}
	put_text(page, BOLD, &line);
	unsigned count = 0;
	for (const struct json_node *item = json_first(list); item != NULL;
	        item = json_next(list, item)) {
		if (count++ >= most) {
			continue;
		}
		line = text_over(line_memory, sizeof(line_memory));
		fill_row(table, item, memory, cells);
		for (unsigned i = 0; i < table->columns; i++) {
			add_cell(text_slice(&cells[i]), widths[i], i + 1 == table->columns, &line);
		}
		put_text(
		        page, table->is_bad != NULL && table->is_bad(item) ? YELLOW : PLAIN, &line);
	}
	put_rest(page, count > most ? count - most : 0);
}

/* A value that is cut for a column. */
static void add_cut(const struct json_node *item, const char *path, size_t most, struct text *cell)
{
	char memory[LINE_MAX_LEN];
	struct text text = text_over(memory, sizeof(memory));

	add(item, path, "-", &text);
	if (text.overflow || text.len > most) {
		text_add(cell, (struct slice){memory, most - 2});
		text_add(cell, SLICE(".."));
	} else {
		text_add(cell, text_slice(&text));
	}
}

/* ── The program ─────────────────────────────────────────────────────────── */

static void put_program(struct page *page, const struct json_node *root)
{
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));
	const struct json_node *parts = find(root, "not_ready");
	const bool ready = is_true(find(root, "ready"));

	text_add(&line, SLICE("docker-socket-proxy "));
	add(root, "version", "", &line);
	text_add(&line, SLICE(", pid "));
	add(root, "pid", "?", &line);
	text_add(&line, SLICE(", up "));
	add_duration(time_of(find(root, "now")) - time_of(find(root, "started")), &line);
	text_add(&line, ready ? SLICE(": ready") : SLICE(": not ready: "));
	for (const struct json_node *part = ready || parts == NULL ? NULL : json_first(parts);
	        part != NULL; part = json_next(parts, part)) {
		text_add(&line, part == json_first(parts) ? SLICE("") : SLICE(", "));
		add_value(part, "", &line);
	}
	put_text(page, ready ? GREEN : RED, &line);
	if (number_at(root, "workers/silent") > 0) {
		line = text_over(memory, sizeof(memory));
		add(root, "workers/silent", "", &line);
		text_add(&line, SLICE(" of "));
		add(root, "workers/count", "", &line);
		text_add(&line, SLICE(" workers do not answer: their streams are missing below"));
		put_text(page, RED, &line);
	}
}

static void put_configuration(struct page *page, const struct json_node *root)
{
	const struct json_node *configuration = find(root, "configuration");
	const struct json_node *error = find(configuration, "last_error");
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	text_add(&line, SLICE("config    "));
	add(configuration, "file", "no file", &line);
	const struct json_node *hash = find(configuration, "sha256");
	if (hash != NULL && hash->type == JSON_STRING) {
		text_add(&line, SLICE(", sha256 "));
		document_add_plain(
		        (struct slice){hash->text.ptr, hash->text.len < 12 ? hash->text.len : 12},
		        &line);
	}
	text_add(&line, SLICE(", read "));
	add_duration(time_of(find(root, "now")) - time_of(find(configuration, "loaded")), &line);
	text_add(&line, SLICE(" ago, reloads "));
	add(configuration, "reloads/ok", "0", &line);
	if (number_at(configuration, "reloads/failed") > 0) {
		text_add(&line, SLICE(" and "));
		add(configuration, "reloads/failed", "0", &line);
		text_add(&line, SLICE(" failed"));
	}
	text_add(&line, is_true(find(configuration, "watch")) ? SLICE(", watched") : SLICE(""));
	put_text(page, PLAIN, &line);
	if (error != NULL && error->type == JSON_OBJECT) {
		line = text_over(memory, sizeof(memory));
		text_add(&line, SLICE("not reloaded: "));
		add(error, "text", "", &line);
		put_sentence(page, RED, text_slice(&line));
	}
}

/* Which Engine it is, if it said so. */
static void add_release(const struct json_node *engine, struct text *line)
{
	const struct json_node *version = find(engine, "version");

	if (version != NULL && version->type == JSON_STRING) {
		text_add(line, SLICE(", version "));
		document_add_plain(version->text, line);
		text_add(line, SLICE(" (API "));
		add(engine, "api_version", "?", line);
		text_add(line, SLICE(")"));
	}
}

static void put_engine(struct page *page, const struct json_node *root)
{
	const struct json_node *engine = find(root, "engine");
	const bool up = is_true(find(engine, "up"));
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	if (is_none(find(engine, "address"))) { /* requests name one of several */
		return;
	}
	text_add(&line, SLICE("Engine    "));
	add(engine, "address", "?", &line);
	add_release(engine, &line);
	text_add(&line, up ? SLICE(", up, ") : SLICE(", down, "));
	add(engine, "connections/open", "0", &line);
	text_add(&line, SLICE(" connections, "));
	add(engine, "connections/idle", "0", &line);
	text_add(&line, SLICE(" of them idle"));
	if (number_at(engine, "connect_failures") > 0) {
		text_add(&line, SLICE(", failures "));
		add(engine, "connect_failures", "0", &line);
	}
	put_text(page, up ? PLAIN : RED, &line);
	line = text_over(memory, sizeof(memory));
	add(engine, "error", "", &line);
	put_sentence(page, RED, text_slice(&line));
}

static void put_audit(struct page *page, const struct json_node *root)
{
	const struct json_node *audit = find(root, "audit");
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	if (audit == NULL || audit->type != JSON_OBJECT) {
		return;
	}
	const bool works = is_true(find(audit, "works"));
	text_add(&line, SLICE("audit     "));
	add(audit, "path", "?", &line);
	text_add(&line, works ? SLICE(", works, lost ") : SLICE(", FAILS, lost "));
	add(audit, "lost", "0", &line);
	put_text(page, works ? PLAIN : RED, &line);
}

/* ── Listeners and clients ───────────────────────────────────────────────── */

static const char *const listener_heads[] = {"LISTENER", "NAME", "POLICY", "CONNECTIONS"};

static void fill_listener(const struct json_node *item, struct text cells[COLUMNS_MAX])
{
	add_cut(item, "address", 60, &cells[0]);
	add_cut(item, "name", NAME_SHOWN, &cells[1]);
	add_cut(item, "policy", NAME_SHOWN, &cells[2]);
	add(item, "connections", "0", &cells[3]);
}

static const char *const client_heads[] = {
        "CLIENT", "POLICY", "ALLOWED", "DENIED", "ERRORS", "CONNECTIONS", "STREAMS", "LIMITS HIT"};

static void fill_client(const struct json_node *item, struct text cells[COLUMNS_MAX])
{
	const struct json_node *mode = find(item, "mode");
	const struct json_node *limits = find(item, "limits");
	const bool observes = mode != NULL && slice_equal(mode->text, SLICE("observe"));

	if (is_none(find(item, "name"))) {
		text_add(&cells[0], SLICE("(no client)"));
	} else {
		add_cut(item, "name", NAME_SHOWN, &cells[0]);
	}
	add_cut(item, "policy", NAME_SHOWN, &cells[1]);
	text_add(&cells[1], observes ? SLICE(" (observes)") : SLICE(""));
	text_add_format(&cells[2], "%" PRId64,
	        number_at(item, "requests/allow") + number_at(item, "requests/would_deny"));
	add(item, "requests/deny", "0", &cells[3]);
	if (number_at(item, "requests/would_deny") > 0) {
		text_add(&cells[3], SLICE(" (would: "));
		add(item, "requests/would_deny", "0", &cells[3]);
		text_add(&cells[3], SLICE(")"));
	}
	add(item, "requests/error", "0", &cells[4]);
	add(item, "connections", "0", &cells[5]);
	add(item, "streams", "0", &cells[6]);
	for (const struct json_node *limit = limits == NULL ? NULL : json_first(limits);
	        limit != NULL; limit = json_next(limits, limit)) {
		if (number_of(limit) > 0) {
			text_add(&cells[7], cells[7].len > 0 ? SLICE(", ") : SLICE(""));
			document_add_plain(limit->name, &cells[7]);
			text_add_format(&cells[7], " %" PRId64, number_of(limit));
		}
	}
}

static bool is_denied(const struct json_node *item)
{
	return number_at(item, "requests/deny") + number_at(item, "requests/would_deny") > 0;
}

static const struct table listeners = {listener_heads, 4, fill_listener, NULL};
static const struct table clients = {client_heads, 8, fill_client, is_denied};

/* ── Several Engines ─────────────────────────────────────────────────────── */

static const char *const engine_heads[] = {"ENGINE", "ADDRESS", "STATE", "FAILURES", "WHY"};

static bool is_group(const struct json_node *item)
{
	const struct json_node *members = find(item, "members");

	return members != NULL && json_first(members) != NULL;
}

/* "node-a, node-b" */
static void add_members(const struct json_node *item, struct text *cell)
{
	const struct json_node *members = find(item, "members");
	const struct json_node *first = json_first(members);

	for (const struct json_node *member = first; member != NULL;
	        member = json_next(members, member)) {
		text_add(cell, member == first ? SLICE("") : SLICE(", "));
		document_add_plain(member->text, cell);
	}
}

static void fill_engine(const struct json_node *item, struct text cells[COLUMNS_MAX])
{
	const struct json_node *up = find(item, "up");
	const bool known = up != NULL && up->type != JSON_NULL;

	add_cut(item, "name", NAME_SHOWN, &cells[0]);
	if (is_group(item)) {
		add_members(item, &cells[1]);
	} else {
		add_cut(item, "address", 40, &cells[1]);
	}
	text_add(&cells[2], !known        ? SLICE("not asked yet")
	                    : is_true(up) ? SLICE("up")
	                                  : SLICE("down"));
	if (is_group(item)) {
		text_add(&cells[2], SLICE(": "));
		add(item, "active", "-", &cells[2]);
	}
	add(item, "connect_failures", "0", &cells[3]);
	add_cut(item, "error", 90, &cells[4]);
}

static bool is_down(const struct json_node *item)
{
	const struct json_node *up = find(item, "up");

	return up != NULL && up->type == JSON_FALSE;
}

static const struct table engines = {engine_heads, 5, fill_engine, is_down};

/* ── Streams ─────────────────────────────────────────────────────────────── */

static const char *const stream_heads[] = {
        "ID", "CLIENT", "PEER", "OPERATION", "TARGET", "AGE", "TO ENGINE", "TO CLIENT"};

static void fill_stream(const struct json_node *item, struct text cells[COLUMNS_MAX])
{
	add_cut(item, "id", NAME_SHOWN, &cells[0]);
	add_cut(item, "client", NAME_SHOWN, &cells[1]);
	add_cut(item, "peer", 2 * NAME_SHOWN, &cells[2]);
	add_cut(item, "operation", 2 * NAME_SHOWN, &cells[3]);
	add_cut(item, "target", NAME_SHOWN, &cells[4]);
	add_duration(seconds_of(find(item, "seconds")), &cells[5]);
	add_bytes(number_at(item, "bytes/to_engine"), &cells[6]);
	add_bytes(number_at(item, "bytes/to_client"), &cells[7]);
}

static const struct table streams = {stream_heads, 8, fill_stream, NULL};

static void put_stream_count(struct page *page, const struct json_node *root, const char *more)
{
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	text_add(&line, SLICE("streams   "));
	add(root, "streams_total", "0", &line);
	text_add_format(&line, " open%s", number_at(root, "streams_total") > 0 ? more : "");
	put_text(page, PLAIN, &line);
}

void print_streams(struct page *page, const struct json_node *root)
{
	const struct json_node *list = find(root, "streams");

	if (list == NULL || json_first(list) == NULL) {
		put(page, PLAIN, SLICE("no streams are open"));
		return;
	}
	put_table(page, &streams, list, page->rows == 0 ? UINT_MAX : page->rows - 2);
	if (number_at(root, "streams_total") > 1000) {
		put_stream_count(page, root, ": the 1000 oldest are listed");
	}
}

/* ── Denials ─────────────────────────────────────────────────────────────── */

/* Each line of what is to be pasted, as it stands. */
static void put_remedy(struct page *page, const struct json_node *remedy)
{
	struct slice rest =
	        remedy == NULL || remedy->type != JSON_STRING ? SLICE("") : remedy->text;
	char memory[LINE_MAX_LEN];
	struct slice line;

	while (rest.len > 0 && slice_next(&rest, '\n', &line)) {
		struct text text = text_over(memory, sizeof(memory));
		text_add_format(&text, "%*s", INDENT + 2, "");
		document_add_plain(line, &text);
		put_text(page, GREEN, &text);
	}
}

/* Without what stands below it, to be pasted. */
static void put_reason(struct page *page, const struct json_node *denial)
{
	static const char advice[] = " To allow it, ";
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	add(denial, "reason", "", &line);
	struct slice reason = text_slice(&line);
	const char *end = memmem(reason.ptr, reason.len, advice, sizeof(advice) - 1);
	if (end != NULL && (!is_none(find(denial, "allow/yaml")) ||
	                           !is_none(find(denial, "allow/variable")))) {
		reason.len = (size_t)(end - reason.ptr);
	}
	put_sentence(page, PLAIN, reason);
}

static void put_denial(struct page *page, const struct json_node *denial)
{
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));
	const struct json_node *time = find(denial, "time");
	const struct json_node *verdict = find(denial, "verdict");

	if (time != NULL && time->text.len > 19) {
		document_add_plain((struct slice){time->text.ptr + 11, 8}, &line);
	}
	text_add(&line, verdict != NULL && slice_equal(verdict->text, SLICE("deny"))
	                        ? SLICE("  denied ")
	                        : SLICE("  would deny "));
	add(denial, "operation", "?", &line);
	text_add(&line, SLICE(" to "));
	add(denial, is_none(find(denial, "client")) ? "peer" : "client", "?", &line);
	if (number_at(denial, "count") > 1) {
		text_add(&line, SLICE(", "));
		add(denial, "count", "", &line);
		text_add(&line, SLICE(" times"));
	}
	text_add(&line, SLICE(": "));
	add(denial, "method", "", &line);
	text_add(&line, SLICE(" "));
	add(denial, "path", "", &line);
	put_text(page, YELLOW, &line);
	put_reason(page, denial);
	put_remedy(page, find(denial, "allow/yaml"));
	put_remedy(page, find(denial, "allow/variable"));
}

static void put_denials(struct page *page, const struct json_node *root)
{
	const struct json_node *list = find(root, "denials");
	unsigned count = 0;

	if (list == NULL || json_first(list) == NULL) {
		put(page, PLAIN, SLICE("denials   none"));
		return;
	}
	put(page, BOLD, SLICE("DENIALS, the newest first, with what would allow each"));
	for (const struct json_node *denial = json_first(list);
	        denial != NULL && count < DENIALS_SHOWN; denial = json_next(list, denial)) {
		put_denial(page, denial);
		count++;
	}
}

void print_problem(struct page *page, struct slice problem)
{
	char memory[LINE_MAX_LEN];
	struct text line = text_over(memory, sizeof(memory));

	document_add_plain(problem, &line);
	put(page, RED, SLICE("no answer"));
	put_sentence(page, PLAIN, text_slice(&line));
}

/* ── The whole ───────────────────────────────────────────────────────────── */

void print_state(struct page *page, const struct json_node *root)
{
	const struct json_node *own = find(root, "listeners");
	const struct json_node *fleet = find(root, "engines");
	const struct json_node *known = find(root, "clients");

	put_program(page, root);
	put_configuration(page, root);
	put_engine(page, root);
	put_audit(page, root);
	put_stream_count(page, root, ": 'docker-socket-proxy status streams' lists them");
	put(page, PLAIN, SLICE(""));
	if (own != NULL) {
		put_table(page, &listeners, own, rows_for(page));
		put(page, PLAIN, SLICE(""));
	}
	if (fleet != NULL && json_first(fleet) != NULL) {
		put_table(page, &engines, fleet, rows_for(page));
		put(page, PLAIN, SLICE(""));
	}
	if (known != NULL) {
		put_table(page, &clients, known, rows_for(page));
		put(page, PLAIN, SLICE(""));
	}
	put_denials(page, root);
}
