/* SPDX-License-Identifier: MIT */
/* print — the record as a configuration file. */
#include "learn/learn.h"

#include "address/address.h"
#include "learn/record.h"
#include "policy/presets.h"
#include "yaml/write.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

enum { LEARN_ADDRESS_MAX = 512 }; /* bytes; no path of a socket or host is as long */

/* ── Presets ─────────────────────────────────────────────────────────────── */

/* A request that the Engine does not serve gets no rule: it was meant for another program. */
static bool needs_rule(const struct unknown_request *unknown, const struct page *page)
{
	return unknown->page == page && unknown->served;
}

static bool needs_unknown(const struct learn *learn, const struct page *page)
{
	for (unsigned i = 0; i < learn->unknown_count; i++) {
		if (needs_rule(&learn->unknown[i], page)) {
			return true;
		}
	}
	return false;
}

static bool asked_for_operations(const struct page *page)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (page->counts[id] > 0) {
			return true;
		}
	}
	return false;
}

static bool has_rules(const struct learn *learn, const struct page *page)
{
	return asked_for_operations(page) || needs_unknown(learn, page);
}

static bool fits(
        const struct learn *learn, const struct policy_preset *preset, const struct page *page)
{
	/* Ids above the rows are unknown requests; those without a rule are not known well enough.
	 */
	const bool unknown = needs_unknown(learn, page) || page->uncounted > 0;
	const unsigned end = unknown ? docker_id_count() : docker_endpoint_count;

	for (unsigned id = 0; id < end; id++) {
		if (page->counts[id] > 0 && !policy_preset_allows(preset, id)) {
			return false;
		}
	}
	return true;
}

static bool is_excess(const struct learn *learn, const struct policy_preset *preset,
        const struct page *page, unsigned id)
{
	return learn->first[id] == id && page->counts[id] == 0 && policy_preset_allows(preset, id);
}

/* What the preset allows that the client did not ask for. */
static unsigned excess(
        const struct learn *learn, const struct policy_preset *preset, const struct page *page)
{
	unsigned weight = 0;

	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		weight += is_excess(learn, preset, page, id) ? policy_weight_of(id) : 0;
	}
	return weight;
}

/* The preset that allows all that was asked for and the least besides; NULL: none does. */
static const struct policy_preset *best_preset(const struct learn *learn, const struct page *page)
{
	const struct policy_preset *best = NULL;
	unsigned least = UINT_MAX;

	for (unsigned i = 0; i < policy_preset_count; i++) {
		const struct policy_preset *preset = &policy_presets[i];
		if (!fits(learn, preset, page)) {
			continue;
		}
		const unsigned more = excess(learn, preset, page);
		if (more < least) {
			best = preset;
			least = more;
		}
	}
	return best;
}

static void print_excess(const struct learn *learn, const struct policy_preset *preset,
        const struct page *page, FILE *out)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (is_excess(learn, preset, page, id)) {
			(void)fprintf(out, " %s", docker_operation_name(id));
		}
	}
}

/* Whether a client asked for an operation that the block constrains. */
static bool needs_block(const struct learn *learn, const struct page *page, unsigned block)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		const struct inspect_operation *operation = inspect_operation_of(id);
		if (operation != NULL && page->counts[learn->first[id]] > 0 &&
		        inspect_operation_block(operation) == block) {
			return true;
		}
	}
	return false;
}

static bool needs_any_block(const struct learn *learn, const struct page *page)
{
	for (unsigned block = 0; block < INSPECT_BLOCK_COUNT; block++) {
		if (needs_block(learn, page, block)) {
			return true;
		}
	}
	return false;
}

static void print_preset(const struct learn *learn, const struct page *page, FILE *out)
{
	const struct policy_preset *preset = best_preset(learn, page);

	if (preset == NULL) {
		(void)fputs("#   No preset allows all of these operations.\n", out);
		return;
	}
	if (needs_any_block(learn, page)) { /* the preset was not asked about bodies */
		(void)fprintf(out,
		        "#   The preset '%s' allows all of these operations. 'POLICY=%s "
		        "docker-socket-proxy check' prints what it allows of bodies.\n",
		        preset->name, preset->name);
	} else {
		(void)fprintf(out,
		        "#   The preset '%s' allows all of these operations. POLICY=%s can replace "
		        "this file.\n",
		        preset->name, preset->name);
	}
	if (excess(learn, preset, page) > 0) {
		(void)fputs("#   It also allows:", out);
		print_excess(learn, preset, page, out);
		(void)fputs("\n", out);
	}
}

/* ── Requests ────────────────────────────────────────────────────────────── */

static void print_counts(const struct page *page, FILE *out)
{
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		if (page->counts[id] > 0) {
			(void)fprintf(
			        out, "#   %8u  %s\n", page->counts[id], docker_operation_name(id));
		}
	}
}

static void print_client(const struct page *page, FILE *out)
{
	char memory[ADDRESS_NAME_MAX + CLIENT_NAME_MAX];
	struct text who = text_over(memory, sizeof(memory));

	learn_add_client(page, &who);
	(void)fprintf(out, "# %.*s", SLICE_FMT(text_slice(&who)));
}

static void print_page(const struct learn *learn, const struct page *page, FILE *out)
{
	(void)fputs("#\n", out);
	print_client(page, out);
	(void)fprintf(
	        out, ": %" PRIu64 " request%s\n", page->requests, page->requests == 1 ? "" : "s");
	print_counts(page, out);
	for (unsigned i = 0; i < learn->unknown_count; i++) {
		const struct unknown_request *unknown = &learn->unknown[i];
		if (unknown->page == page) {
			(void)fprintf(out, "#   %8u  %.*s %.*s, no operation of the Docker API%s\n",
			        unknown->count, (int)unknown->method_len, unknown->method,
			        (int)unknown->path_len, unknown->path,
			        unknown->served ? "" : ", which the Engine never served: no rule");
		}
	}
	if (page->uncounted > 0) {
		(void)fprintf(out,
		        "#   %8" PRIu64 "  not operations of the Docker API, and too many, or "
		        "with a method or path that no rule can have\n",
		        page->uncounted);
	}
	if (has_rules(learn, page)) {
		print_preset(learn, page, out);
	}
}

/* ── Rules ───────────────────────────────────────────────────────────────── */

static void add_operation(unsigned id, struct text *text)
{
	text_add_format(text, "          - %s%s\n", docker_operation_name(id),
	        (docker_endpoint(id)->traits & DOCKER_ROOT) != 0
	                ? "  # enough to become root on the host"
	                : "");
}

static void print_operations(const struct page *page, FILE *out)
{
	char memory[128];

	(void)fputs("      - allow:\n", out);
	for (unsigned id = 0; id < docker_endpoint_count; id++) {
		struct text line = text_over(memory, sizeof(memory));
		if (page->counts[id] > 0) {
			add_operation(id, &line);
			(void)fprintf(out, "%.*s", SLICE_FMT(text_slice(&line)));
		}
	}
}

static bool any_needs_block(const unsigned *ids, unsigned count, unsigned block)
{
	for (unsigned i = 0; i < count; i++) {
		const struct inspect_operation *operation = inspect_operation_of(ids[i]);
		if (operation != NULL && inspect_operation_block(operation) == block) {
			return true;
		}
	}
	return false;
}

/* Who pastes the policy over one that has the block would open what it closes. */
static void warn_of_block(enum inspect_block block, struct text *text)
{
	text_add_format(text,
	        "    # No '%s' block: these operations may ask for anything. "
	        "'docker-socket-proxy learn' writes one.\n",
	        inspect_block_name(block));
}

void learn_propose(const char *policy, const unsigned *ids, unsigned count, struct text *text)
{
	text_add(text, SLICE("policies:\n  "));
	yaml_add_word(text, slice_of(policy));
	text_add(text, SLICE(":\n    rules:\n      - allow:\n"));
	for (unsigned i = 0; i < count; i++) {
		add_operation(ids[i], text);
	}
	for (unsigned block = 0; block < INSPECT_BLOCK_COUNT; block++) {
		if (any_needs_block(ids, count, block)) {
			warn_of_block((enum inspect_block)block, text);
		}
	}
}

static void print_unknown(const struct unknown_request *unknown, FILE *out)
{
	char memory[4 * LEARN_PATH_MAX + 1]; /* \xNN for a byte, and a NUL */
	struct text path = text_over(memory, sizeof(memory));
	char method_memory[LEARN_METHOD_MAX + 1];
	struct text method = text_over(method_memory, sizeof(method_memory));
	const char *const methods[] = {method_memory};
	const struct policy_match match = {.methods = methods, .method_count = 1, .path = memory};
	char rule_memory[8 * LEARN_PATH_MAX]; /* a quote may be doubled */
	struct text rule = text_over(rule_memory, sizeof(rule_memory));

	policy_add_pattern((struct slice){unknown->path, unknown->path_len}, &path);
	text_add_char(&path, '\0');
	text_add(&method, (struct slice){unknown->method, unknown->method_len});
	text_add_char(&method, '\0');
	policy_write_rule(&rule, true, &match);
	(void)fprintf(out, "      - %.*s\n", SLICE_FMT(text_slice(&rule)));
}

static void print_rules(const struct learn *learn, const struct page *page, FILE *out)
{
	(void)fputs("    rules:\n", out);
	if (asked_for_operations(page)) {
		print_operations(page, out);
	}
	for (unsigned i = 0; i < learn->unknown_count; i++) {
		if (needs_rule(&learn->unknown[i], page)) {
			print_unknown(&learn->unknown[i], out);
		}
	}
}

/* ── Blocks ──────────────────────────────────────────────────────────────── */

static void print_block(
        enum inspect_block block, const struct inspect_word *words, unsigned count, FILE *out)
{
	/* Each byte of a word may be escaped, and keys have names. */
	const size_t size = (size_t)count * 4 * INSPECT_WORD_MAX + 4096;
	char *memory = check_memory(malloc(size));
	struct text text = text_over(memory, size);

	inspect_write_block(block, words, count, &text);
	(void)fprintf(
	        out, "    %s: %.*s\n", inspect_block_name(block), SLICE_FMT(text_slice(&text)));
	free(memory);
}

/* What the bodies and queries of the client asked for, and nothing else. */
static void print_blocks(const struct learn *learn, const struct page *page, FILE *out)
{
	if (page->words_lost) {
		(void)fputs("    # Some bodies asked for more than these blocks allow.\n", out);
	}
	for (unsigned block = 0; block < INSPECT_BLOCK_COUNT; block++) {
		if (needs_block(learn, page, block)) {
			print_block((enum inspect_block)block, page->words, page->word_count, out);
		}
	}
}

/* Each client gets a policy. */
static void print_policies(const struct learn *learn, const struct chapters *chapters, FILE *out)
{
	(void)fputs("policies:\n", out);
	for (unsigned i = 0; i < chapters->count; i++) {
		const struct page *page = chapters->pages[i];
		char memory[32];
		struct text name = text_over(memory, sizeof(memory));
		learn_add_policy(chapters, i, &name);
		(void)fprintf(out, "  %.*s:", SLICE_FMT(text_slice(&name)));
		if (!chapters->is_one) {
			(void)fputs("  ", out);
			print_client(page, out);
		}
		(void)fputs("\n", out);
		if (has_rules(learn, page)) {
			print_rules(learn, page, out);
		} else {
			(void)fputs("    rules: []\n", out);
		}
		print_blocks(learn, page, out);
	}
}

/* ── The file ────────────────────────────────────────────────────────────── */

static void print_address(const char *key, const char *address, FILE *out)
{
	char memory[2 * LEARN_ADDRESS_MAX + 2]; /* a quote may be doubled */
	struct text text = text_over(memory, sizeof(memory));

	yaml_add_quoted(&text, slice_of(address));
	(void)fprintf(out, "  %s: %.*s\n", key, SLICE_FMT(text_slice(&text)));
}

static void print_listener(const struct learn_setting *setting, unsigned number,
        const struct chapters *chapters, FILE *out)
{
	const struct learn_listener *listener = &setting->listeners[number];
	char memory[LEARN_CLIENTS_MAX * sizeof("client-32,")];
	struct text policy = text_over(memory, sizeof(memory));
	char name_memory[CLIENT_NAME_MAX];
	struct text name = text_over(name_memory, sizeof(name_memory));

	if (listener->records) {
		learn_add_rest(chapters, &policy);
	} else {
		text_add(&policy, SLICE("deny  # it recorded nothing"));
	}
	learn_add_listener(setting, number, &name);
	print_address("- address", listener->address, out);
	if (name.len > 0) {
		(void)fprintf(out, "    name: '%.*s'\n", SLICE_FMT(text_slice(&name)));
	}
	(void)fprintf(out, "    policy: %.*s\n", SLICE_FMT(text_slice(&policy)));
	if (address_path(listener->address) != NULL) {
		(void)fprintf(out, "    mode: \"%04o\"\n", listener->mode);
	}
	if (listener->tls.len > 0) {
		(void)fprintf(out, "    tls: %.*s\n", SLICE_FMT(listener->tls));
	}
}

static void print_setting(
        const struct learn_setting *setting, const struct chapters *chapters, FILE *out)
{
	(void)fputs("\n", out);
	if (setting->other_count > 0) {
		(void)fputs("# Listeners whose policies do not observe are omitted: they need no "
		            "change.\n",
		        out);
	}
	(void)fputs("listeners:\n", out);
	for (unsigned i = 0; i < setting->listener_count; i++) {
		print_listener(setting, i, chapters, out);
	}
	(void)fputs("\nupstream:\n", out);
	print_address("address", setting->engine, out);
	if (setting->tls.len > 0) {
		(void)fprintf(out, "  tls: %.*s\n", SLICE_FMT(setting->tls));
	}
	(void)fputs("\n", out);
}

void learn_print(const struct learn *learn, const struct learn_setting *setting, FILE *out)
{
	if (learn->page_count == 0) {
		(void)fputs("# No request was recorded, so there is nothing to allow.\n", out);
		return;
	}
	(void)fputs("# The smallest policy that allows the recorded requests, and nothing else.\n"
	            "# Save it as FILE, read it, and use it: docker-socket-proxy -c FILE\n",
	        out);
	const struct chapters chapters = learn_sort(learn);
	for (unsigned i = 0; i < chapters.count; i++) {
		print_page(learn, chapters.pages[i], out);
	}
	print_setting(setting, &chapters, out);
	learn_print_clients(&chapters, setting, out);
	print_policies(learn, &chapters, out);
	(void)fflush(out);
}
