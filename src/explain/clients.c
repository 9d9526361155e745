/* SPDX-License-Identifier: MIT */
/* The clients of a configuration, and a table of what each may do. */
#include "explain/clients.h"

#include "explain/summary.h"

#include <stdio.h>

enum {
	LINE_COLUMNS = 100,
	NOUN_COLUMNS = 18,
	NAME_SHOWN_MAX = 24,
	CLIENTS_SHOWN_MAX = 20,
};

/* ── The list ────────────────────────────────────────────────────────────── */

/* Those that both the entry and its policy allow. */
static void add_engines(const struct config *config, const struct engine_set *of_client,
        const struct engine_set *of_policy, struct text *text)
{
	const struct engines *engines = &config->engines;
	uint64_t bits[ENGINE_WORDS_MAX] = {0};
	const struct engine_set both = {.words = engine_set_words(engines), .bits = bits};

	for (unsigned i = engines->has_default ? 0 : 1; i < engines->count; i++) {
		if (engine_set_has(of_client, i) && engine_set_has(of_policy, i)) {
			bits[i / 64] |= UINT64_C(1) << (i % 64);
		}
	}
	engine_set_add(&both, engines, text);
	text_add(text, text->len == 0 ? SLICE("none") : SLICE(""));
}

static void print_engines(const struct config *config, const struct client *client)
{
	const struct engine_set *of_policy =
	        client->policy == NULL ? NULL : policy_engines(client->policy);
	char memory[8192];
	struct text names = text_over(memory, sizeof(memory));
	const char *from = "";

	if (client->engines != NULL && of_policy != NULL) {
		add_engines(config, client->engines, of_policy, &names);
		from = " in common with its policy";
	} else if (client->engines != NULL) {
		engine_set_add(client->engines, &config->engines, &names);
	} else if (of_policy != NULL) {
		engine_set_add(of_policy, &config->engines, &names);
		from = ", by its policy";
	} else {
		text_add(&names, client->policy == NULL ? SLICE("of the listener and its policy")
		                                        : SLICE("of the listener"));
	}
	printf(", engines %.*s%s%s", SLICE_FMT(text_slice(&names)), names.overflow ? "..." : "",
	        from);
}

static void print_client(const struct config *config, const struct client *client)
{
	char memory[8192];
	char end_memory[32];
	struct text conditions = text_over(memory, sizeof(memory));
	struct text end = text_over(end_memory, sizeof(end_memory));

	match_add(&client->match, &conditions);
	printf("client   %s: %.*s%s, ", client->name, SLICE_FMT(text_slice(&conditions)),
	        conditions.overflow ? "..." : "");
	if (client->policy == NULL) {
		printf("the policy of the listener");
	} else {
		printf("policy %s", policy_name(client->policy));
	}
	if (config->has_engines) {
		print_engines(config, client);
	}
	client_add_until(client, &end);
	printf("%s%.*s", end.len > 0 ? ", until " : "", SLICE_FMT(text_slice(&end)));
	if (client->limits != NULL) {
		conditions.len = 0;
		limits_add(client->limits, &conditions);
		printf(", limits %.*s", SLICE_FMT(text_slice(&conditions)));
	}
	printf("\n");
}

static void print_limits(const char *whose, const struct limits *limits)
{
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	if (limits_any(limits)) {
		limits_add(limits, &text);
		printf("limits   of %s: %.*s\n", whose, SLICE_FMT(text_slice(&text)));
	}
}

void explain_list_limits(const struct config *config)
{
	print_limits("each client", &config->limits);
	print_limits("all clients together", &config->total_limits);
}

void explain_list_clients(const struct config *config)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		print_client(config, &config->clients.list[i]);
	}
	if (config->clients.must_be_known) {
		printf("client   everybody else gets a 401: '%s' has the keys\n",
		        config->keys_file);
	}
}

/* ── The table ───────────────────────────────────────────────────────────── */

/* A column: who is judged by a policy. */
struct column {
	char name[NAME_SHOWN_MAX + sizeof("()")];
	const struct policy *policy;
};

struct table {
	unsigned count;
	int width; /* of a column */
	struct column columns[CLIENTS_SHOWN_MAX + CONFIG_LISTENERS_MAX];
};

/* A longer name is cut. */
static void add_column(struct table *table, const struct policy *policy, const char *front,
        struct slice name, const char *end)
{
	struct column *column = &table->columns[table->count++];
	const size_t len = name.len < NAME_SHOWN_MAX ? name.len : NAME_SHOWN_MAX;

	column->policy = policy;
	const int width = snprintf(
	        column->name, sizeof(column->name), "%s%.*s%s", front, (int)len, name.ptr, end);
	table->width = width > table->width ? width : table->width;
}

/* Clients with a policy of their own. Returns how many there was no room for. */
static unsigned add_clients(struct table *table, const struct config *config)
{
	unsigned more = 0;

	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (client->policy != NULL && table->count < CLIENTS_SHOWN_MAX) {
			add_column(table, client->policy, "", slice_of(client->name), "");
		} else {
			more += client->policy != NULL;
		}
	}
	return more;
}

/* Who has no policy of their own, at each listener; once, if it is the same at all of them. */
static void add_others(struct table *table, const struct config *config)
{
	const bool by_key = config->clients.must_be_known;
	bool same = true;

	for (unsigned i = 1; i < config->listener_count; i++) {
		same = same && config->listeners[i].policy == config->listeners[0].policy;
	}
	for (unsigned i = 0; i < (same ? 1 : config->listener_count); i++) {
		const struct config_listener *listener = &config->listeners[i];
		const struct slice address = slice_of(listener->address);
		struct slice name =
		        slice_behind(address, slice_before_last(listener->address, '/').len + 1);
		if (same) {
			name = by_key ? SLICE("any key") : SLICE("others");
		} else if (listener->name != NULL) {
			name = slice_of(listener->name);
		}
		add_column(table, listener->policy, "(", name, ")");
	}
}

/* What a policy grants of the operations of a noun, as the marks of `check`. */
static void add_marks(const struct policy *policy, struct slice noun, struct text *text)
{
	bool reads = false;
	bool writes = false;
	bool leaks = false;
	bool root = false;

	for (unsigned id = 0; id < docker_id_count(); id++) {
		const char *operation = docker_operation_name(id);
		if (!slice_equal(explain_noun(operation), noun) || explain_is_repeated(id)) {
			continue;
		}
		const struct summary summary = explain_summarize(policy, operation);
		const bool is_write = (summary.traits & (DOCKER_WRITE | DOCKER_ROOT)) != 0;
		reads = reads || (summary.some && !is_write);
		writes = writes || (summary.some && is_write);
		leaks = leaks || (summary.some && (summary.traits & DOCKER_LEAK) != 0);
		root = root ||
		       (summary.some && !summary.covered && (summary.traits & DOCKER_ROOT) != 0);
	}
	text_add_format(text, "%s%s%s%s", reads ? "r" : "", writes ? "w" : "", leaks ? "s" : "",
	        root ? "R" : "");
}

/* Nothing behind the last cell of a line. */
static void print_cell(const struct table *table, const char *text, bool is_last)
{
	printf(" %-*s", is_last ? 0 : table->width, text);
}

static void print_row(const struct table *table, unsigned first, unsigned end, struct slice noun)
{
	char memory[CLIENTS_SHOWN_MAX + CONFIG_LISTENERS_MAX][8];
	bool any = false;

	for (unsigned i = first; i < end; i++) {
		struct text marks = text_over(memory[i], sizeof(memory[i]) - 1);
		add_marks(table->columns[i].policy, noun, &marks);
		any = any || marks.len > 0;
		text_add(&marks, marks.len == 0 ? SLICE("-") : SLICE(""));
		memory[i][marks.len] = '\0';
	}
	if (!any) {
		return;
	}
	printf("  %-*.*s", NOUN_COLUMNS, SLICE_FMT(noun));
	for (unsigned i = first; i < end; i++) {
		print_cell(table, memory[i], i + 1 == end);
	}
	printf("\n");
}

/* Some of the columns: as many as a line takes. */
static void print_part(const struct table *table, unsigned first, unsigned end)
{
	printf("\n  %-*s", NOUN_COLUMNS, "client");
	for (unsigned i = first; i < end; i++) {
		print_cell(table, table->columns[i].name, i + 1 == end);
	}
	printf("\n");
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (!explain_noun_is_repeated(id)) {
			print_row(table, first, end, explain_noun(docker_operation_name(id)));
		}
	}
}

static void print_legend(const struct config *config, unsigned more)
{
	if (more > 0) {
		printf("  %u more clients: explain --client NAME says what happens to a request\n",
		        more);
	}
	printf("\n[r] reads   [-] may do nothing   (NAME): %s\n",
	        config->clients.must_be_known
	                ? "whoever shows a key of the file, there; others get a 401"
	                : "whoever is none of the clients, there");
}

void explain_tabulate_clients(const struct config *config)
{
	struct table table = {.count = 0};

	if (config->clients.count == 0) {
		return;
	}
	const unsigned more = add_clients(&table, config);
	add_others(&table, config);
	const unsigned fits = (LINE_COLUMNS - NOUN_COLUMNS - 2) / ((unsigned)table.width + 1);
	for (unsigned i = 0; i < table.count; i += fits) {
		print_part(&table, i, i + fits < table.count ? i + fits : table.count);
	}
	print_legend(config, more);
}
