/* SPDX-License-Identifier: MIT */
/* The clients of a configuration, and a table of what each may do. */
#include "explain/clients.h"

#include "explain/summary.h"

#include <stdio.h>

enum {
	NOUN_COLUMNS = 20,
	CELL_COLUMNS = 14,
	CELLS = 5, /* clients in one table */
};

/* ── The list ────────────────────────────────────────────────────────────── */

static void print_client(const struct client *client)
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
	client_add_until(client, &end);
	printf("%s%.*s\n", end.len > 0 ? ", until " : "", SLICE_FMT(text_slice(&end)));
}

void explain_list_clients(const struct config *config)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		print_client(&config->clients.list[i]);
	}
}

/* ── The table ───────────────────────────────────────────────────────────── */

/* A column: who is judged by a policy. */
struct column {
	const char *name;
	const struct policy *policy;
};

/* The columns: clients with a policy of their own, then who is none, listener by listener. */
static bool find_column(const struct config *config, unsigned number, struct column *ret_column)
{
	for (unsigned i = 0; i < config->clients.count; i++) {
		const struct client *client = &config->clients.list[i];
		if (client->policy != NULL && number-- == 0) {
			*ret_column = (struct column){client->name, client->policy};
			return true;
		}
	}
	if (number >= config->listener_count) {
		return false;
	}
	const struct config_listener *listener = &config->listeners[number];
	*ret_column = (struct column){
	        listener->name != NULL ? listener->name : "(others)", listener->policy};
	return true;
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

static void print_row(const struct column *columns, unsigned count, struct slice noun)
{
	char memory[CELLS][8];
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		struct text marks = text_over(memory[i], sizeof(memory[i]) - 1);
		add_marks(columns[i].policy, noun, &marks);
		any = any || marks.len > 0;
		text_add(&marks, marks.len == 0 ? SLICE("-") : SLICE(""));
		memory[i][marks.len] = '\0';
	}
	if (!any) {
		return;
	}
	printf("  %-*.*s", NOUN_COLUMNS, SLICE_FMT(noun));
	for (unsigned i = 0; i < count; i++) {
		printf(" %-*s", CELL_COLUMNS, memory[i]);
	}
	printf("\n");
}

static void print_table(const struct column *columns, unsigned count)
{
	printf("\n  %-*s", NOUN_COLUMNS, "clients");
	for (unsigned i = 0; i < count; i++) {
		printf(" %-*.*s", CELL_COLUMNS, CELL_COLUMNS, columns[i].name);
	}
	printf("\n");
	for (unsigned id = 0; id < docker_id_count(); id++) {
		if (!explain_noun_is_repeated(id)) {
			print_row(columns, count, explain_noun(docker_operation_name(id)));
		}
	}
}

void explain_tabulate_clients(const struct config *config)
{
	struct column columns[CELLS];
	unsigned count = 0;

	if (config->clients.count == 0) {
		return;
	}
	for (unsigned i = 0; find_column(config, i, &columns[count]); i++) {
		if (++count == CELLS) {
			print_table(columns, count);
			count = 0;
		}
	}
	if (count > 0) {
		print_table(columns, count);
	}
}
