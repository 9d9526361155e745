/* SPDX-License-Identifier: MIT */
/* clients — who it was that asked, as entries of `clients:`. */
#include "learn/record.h"

#include "yaml/write.h"

#include <stdlib.h>

/* ── Who it is ───────────────────────────────────────────────────────────── */

static bool is_unix(const struct page *page)
{
	return page->caller.address.any.sa_family == AF_UNIX;
}

/* Whether a condition can tell the client from others. */
static bool can_be_told(const struct page *page)
{
	return !page->of_others &&
	       (is_entry(page) || !is_unix(page) || page->caller.peer.group_count > 0);
}

void learn_add_client(const struct page *page, struct text *text)
{
	if (page->of_others) {
		text_add(text, SLICE("all other clients"));
	} else if (is_entry(page)) {
		text_add_format(text, "client '%s'", page->client.name);
	} else {
		caller_add_host(&page->caller, text);
		if (is_unix(page) && page->caller.peer.group_count > 0) {
			text_add_format(text, ", user %u", page->caller.peer.uid);
		}
	}
}

/* ── Their order ─────────────────────────────────────────────────────────── */

/* Clients of the configuration by their place in it, then the others as they came. */
static bool comes_before(const struct page *a, const struct page *b)
{
	return is_entry(a) && (!is_entry(b) || a->client.number < b->client.number);
}

struct chapters learn_sort(const struct learn *learn)
{
	struct chapters chapters = {.count = learn->page_count};

	for (unsigned i = 0; i < learn->page_count; i++) {
		unsigned at = i;
		for (; at > 0 && comes_before(learn->pages[i], chapters.pages[at - 1]); at--) {
			chapters.pages[at] = chapters.pages[at - 1];
		}
		chapters.pages[at] = learn->pages[i];
	}
	chapters.is_one = chapters.count == 1 && !is_entry(chapters.pages[0]);
	return chapters;
}

/* ── Policies ────────────────────────────────────────────────────────────── */

void learn_add_policy(const struct chapters *chapters, unsigned number, struct text *text)
{
	if (chapters->is_one) {
		text_add(text, SLICE("learned"));
	} else {
		text_add_format(text, "client-%u", number + 1);
	}
}

/* What several that no condition can tell asked for, each may do: names of policies are united. */
void learn_add_rest(const struct chapters *chapters, struct text *text)
{
	const size_t before = text->len;

	for (unsigned i = 0; i < chapters->count; i++) {
		if (chapters->is_one || !can_be_told(chapters->pages[i])) {
			text_add(text, text->len > before ? SLICE(",") : SLICE(""));
			learn_add_policy(chapters, i, text);
		}
	}
	text_add(text, text->len == before ? SLICE("deny") : SLICE(""));
}

/* ── Listeners ───────────────────────────────────────────────────────────── */

/* Whether what was recorded at one listener must not hold at another. */
static bool must_tell_listeners(const struct learn_setting *setting)
{
	for (unsigned i = 0; i < setting->listener_count; i++) {
		if (!setting->listeners[i].records) {
			return true;
		}
	}
	return false;
}

void learn_add_listener(const struct learn_setting *setting, unsigned number, struct text *text)
{
	const char *name = setting->listeners[number].name;

	if (name != NULL) {
		text_add(text, slice_of(name));
	} else if (must_tell_listeners(setting)) {
		text_add_format(text, "listener-%u", number + 1);
	}
}

static void add_listeners(const struct learn_setting *setting, struct text *text)
{
	const char *lead = "listener: [";

	for (unsigned i = 0; must_tell_listeners(setting) && i < setting->listener_count; i++) {
		if (setting->listeners[i].records) {
			text_add_format(text, "%s", lead);
			learn_add_listener(setting, i, text);
			lead = ", ";
		}
	}
	text_add(text, lead[0] == ',' ? SLICE("], ") : SLICE(""));
}

/* ── The entries ─────────────────────────────────────────────────────────── */

/* Names have letters, digits, '-', '_' and '.'; that of a policy that a label chose has a colon
 * too. */
static void add_as_name(struct slice words, struct text *text)
{
	for (size_t i = 0; i < words.len; i++) {
		const char c = words.ptr[i];
		if (c != '[' && c != ']') {
			text_add_char(text, c == ':' ? '-' : c);
		}
	}
}

static void add_name(const struct page *page, struct text *text)
{
	char memory[ADDRESS_NAME_MAX];
	struct text host = text_over(memory, sizeof(memory));

	if (is_entry(page)) {
		add_as_name(slice_of(page->client.name), text);
	} else if (is_unix(page)) {
		text_add_format(text, "user-%u", page->caller.peer.uid);
	} else {
		caller_add_host(&page->caller, &host);
		text_add(text, SLICE("host-"));
		add_as_name(text_slice(&host), text);
	}
}

static void add_match(
        const struct page *page, const struct learn_setting *setting, struct text *text)
{
	char memory[ADDRESS_NAME_MAX];
	struct text host = text_over(memory, sizeof(memory));

	if (is_entry(page)) {
		text_add(text,
		        page->client.match == NULL ? SLICE("") : slice_of(page->client.match));
		text->overflow = text->overflow || page->client.match == NULL;
		return;
	}
	text_add(text, SLICE("{"));
	add_listeners(setting, text);
	if (is_unix(page)) {
		text_add_format(text, "uid: %u}", page->caller.peer.uid);
	} else {
		caller_add_host(&page->caller, &host);
		struct slice address = text_slice(&host);
		if (slice_skip(&address, SLICE("["))) {
			address.len--;
		}
		text_add(text, SLICE("cidr: "));
		yaml_add_quoted(text, address);
		text_add(text, SLICE("}"));
	}
}

static void print_entry(const struct chapters *chapters, const struct learn_setting *setting,
        unsigned number, FILE *out)
{
	enum { ENTRY_MAX = 1024 * 1024 };
	const struct page *page = chapters->pages[number];
	char *memory = check_memory(malloc(ENTRY_MAX));
	struct text entry = text_over(memory, ENTRY_MAX);

	text_add(&entry, SLICE("  - {name: '"));
	add_name(page, &entry);
	text_add(&entry, SLICE("', match: "));
	add_match(page, setting, &entry);
	text_add(&entry, SLICE(", policy: "));
	learn_add_policy(chapters, number, &entry);
	if (is_entry(page) && page->client.until_s != INT64_MAX) {
		text_add(&entry, SLICE(", until: "));
		client_add_until(&(struct client){.until_s = page->client.until_s}, &entry);
	}
	text_add(&entry, SLICE("}"));
	/* What is left out is judged by the policy of the listener, which allows less. */
	(void)fprintf(out, "%.*s\n",
	        SLICE_FMT(entry.overflow
	                          ? SLICE("  # an entry is omitted: its conditions are too long")
	                          : text_slice(&entry)));
	free(memory);
}

void learn_print_clients(
        const struct chapters *chapters, const struct learn_setting *setting, FILE *out)
{
	bool any = false;
	bool any_address = false;

	for (unsigned i = 0; i < chapters->count; i++) {
		any = any || can_be_told(chapters->pages[i]);
		any_address = any_address ||
		              (!is_entry(chapters->pages[i]) && !is_unix(chapters->pages[i]));
	}
	if (chapters->is_one || !any) {
		return;
	}
	if (any_address) {
		(void)fputs(
		        "# A container gets another address when it starts again: give it a key "
		        "(docs/clients.md).\n",
		        out);
	}
	(void)fputs("clients:\n", out);
	for (unsigned i = 0; i < chapters->count; i++) {
		if (can_be_told(chapters->pages[i])) {
			print_entry(chapters, setting, i, out);
		}
	}
	(void)fputs("\n", out);
}
