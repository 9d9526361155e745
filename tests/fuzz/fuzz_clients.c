/* SPDX-License-Identifier: MIT */
/*
 * Who clients are: the conditions of an entry of `clients:`, if the input begins with a brace; else
 * a file of keys. Whatever the bytes are, they are read or refused with one line. Conditions that
 * are written are read as the same ones, and each key of a file makes its sender the client of its
 * line.
 */
#include "fuzz.h"

#include "config/options.h"
#include "identity/match.h"

#include <string.h>

static void check_message(const char *error)
{
	const size_t len = strnlen(error, FAULT_MAX);

	ASSERT(len > 0 && len < FAULT_MAX);
	ASSERT(strchr(error, '\n') == NULL);
}

/* ── Conditions ──────────────────────────────────────────────────────────── */

static bool read_match(struct slice text, struct arena *arena, struct match *ret_match)
{
	static const char *const listeners[] = {"main", NULL, "edge"};
	const struct match_names names = {listeners, ARRAY_LEN(listeners)};
	const struct yaml_node *root = NULL;
	char error[FAULT_MAX] = "";

	if (yaml_read(text, "fuzz.yaml", arena, &root, error) == 0 &&
	        match_read(root, &names, arena, ret_match, error) == 0) {
		return true;
	}
	check_message(error);
	return false;
}

static void fuzz_match(struct slice bytes)
{
	static char memory[1024 * 1024];
	struct arena arena = {.chunks = NULL};
	struct text text = text_over(memory, sizeof(memory));
	struct match match;
	struct match again;

	if (read_match(bytes, &arena, &match)) {
		match_write(&match, &text);
		ASSERT(!text.overflow);
		ASSERT(read_match(text_slice(&text), &arena, &again));
		ASSERT(match_covers(&match, &again) && match_covers(&again, &match));
	}
	arena_free(&arena);
}

/* ── Keys ────────────────────────────────────────────────────────────────── */

/* The client of a line is whoever presents its key. */
static void check_line(const struct clients *clients, struct slice line)
{
	const char *colon = memchr(line.ptr, ':', line.len);
	const struct slice name = slice_between(line.ptr, colon);
	const struct slice text = slice_between(colon + 1, line.ptr + line.len);
	const struct caller caller = {.listener = 0};
	const struct client *client = NULL;
	struct key_hash hash;
	struct key key;

	if (key_hash_read(text, &hash) == NULL) {
		return; /* nobody knows the key */
	}
	key_present(text, &key);
	const struct sender sender = {.caller = &caller, .key = &key, .container_asked = true};
	ASSERT(clients_find(clients, &sender, &client) == IDENTIFIED_CLIENT);
	ASSERT(slice_equal(name, slice_of(client->name)));
}

static void fuzz_keys(struct slice bytes)
{
	struct config config = {.keys_file = "keys", .keys_option = "CLIENT_KEYS_FILE"};
	char error[FAULT_MAX] = "";
	struct reader reader = {.config = &config, .error = error};
	struct slice line;

	if (config_parse_keys(&reader, bytes) < 0) {
		check_message(error);
	} else {
		ASSERT(config.clients.count > 0);
		while (slice_next(&bytes, '\n', &line)) {
			line.len -= slice_ends_with(line, SLICE("\r"));
			line = slice_trim(line);
			if (line.len > 0 && line.ptr[0] != '#') {
				check_line(&config.clients, line);
			}
		}
	}
	arena_free(&config.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice input = {(const char *)bytes, len};

	if (slice_starts_with(input, SLICE("{"))) {
		fuzz_match(input);
	} else if (len < 64 * 1024) {
		fuzz_keys(input);
	}
	return 0;
}
