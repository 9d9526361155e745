/* SPDX-License-Identifier: MIT */
/* The file of keys: CLIENT_KEYS_FILE. */
#include "config/options.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { KEYS_SIZE_MAX = 1024 * 1024 };

/* What was read so far. */
struct keys {
	struct reader *reader;
	struct place place;     /* of the line */
	bool any_plain;         /* a line has the key itself */
	const char *short_name; /* the client of the first short key; NULL: no key is short */
	struct place short_place;
};

/* ── A line ──────────────────────────────────────────────────────────────── */

/* The hash of what stands behind the colon, which may be the hash itself. */
static int read_key(
        struct keys *keys, struct slice text, struct key_hash *ret_hash, bool *ret_short)
{
	*ret_short = false;
	if (key_hash_read(text, ret_hash) == NULL) {
		return 0;
	}
	const char *problem = key_problem(text);
	if (problem != NULL) {
		return fault_set(keys->reader->error, keys->place,
		        "the key behind ':' is not accepted: %s", problem);
	}
	keys->any_plain = true;
	*ret_short = text.len < KEY_SHORT;
	key_hash_make(text, NULL, ret_hash);
	return 0;
}

/* "name:key" */
static int read_line(struct keys *keys, struct slice line)
{
	struct reader *reader = keys->reader;
	const char *colon = memchr(line.ptr, ':', line.len);
	struct key_hash hash;
	bool is_short;

	if (colon == NULL) {
		return fault_set(reader->error, keys->place,
		        "a line is 'name:key', or 'name:HASH' with the line that "
		        "'docker-socket-proxy hash-key' prints");
	}
	const struct slice name = slice_between(line.ptr, colon);
	const struct slice text = slice_between(colon + 1, line.ptr + line.len);
	/* The line may be KEY:NAME by mistake: nothing of it is shown. */
	const char *problem = client_name_problem(name);
	if (problem != NULL) {
		return fault_set(reader->error, keys->place,
		        "what stands in front of ':' is no name: %s", problem);
	}
	if (read_key(keys, text, &hash, &is_short) < 0) {
		return -EINVAL;
	}
	struct client *client = config_add_client(reader, name, keys->place);
	if (client == NULL) {
		return -EINVAL;
	}
	if (match_key(&hash, keys->place, &reader->config->arena, &client->match) < 0) {
		return arena_fault(&reader->config->arena, reader->error);
	}
	if (is_short && keys->short_name == NULL) {
		keys->short_name = client->name;
		keys->short_place = keys->place;
	}
	return config_finish_client(reader, client);
}

/* ── The lines ───────────────────────────────────────────────────────────── */

static unsigned count_lines(struct slice bytes)
{
	unsigned count = 0;
	struct slice line;

	while (slice_next(&bytes, '\n', &line)) {
		count++;
	}
	return count;
}

static int read_lines(struct keys *keys, struct slice bytes)
{
	struct reader *reader = keys->reader;
	const unsigned before = reader->config->clients.count;
	struct slice line;

	if (config_reserve_clients(reader, count_lines(bytes)) < 0) {
		return -EINVAL;
	}
	while (slice_next(&bytes, '\n', &line)) {
		keys->place.line++;
		line.len -= slice_ends_with(line, SLICE("\r"));
		line = slice_trim(line);
		if (line.len > 0 && line.ptr[0] != '#' && read_line(keys, line) < 0) {
			return -EINVAL;
		}
	}
	if (reader->config->clients.count == before) {
		return fault_set(reader->error, NOWHERE,
		        "%s: '%s' has no key: a line is 'name:key'", reader->config->keys_option,
		        text_show(slice_of(keys->place.file)).text);
	}
	return 0;
}

/* ── The file ────────────────────────────────────────────────────────────── */

/* What is hardly meant so. */
static void review(const struct keys *keys)
{
	struct config *config = keys->reader->config;
	struct stat file;

	if (keys->short_name != NULL) {
		config_warn(config,
		        "%.256s:%u: the key of '%s' has fewer than %d characters and can be "
		        "guessed: "
		        "'openssl rand -base64 32' makes a key",
		        keys->short_place.file, keys->short_place.line, keys->short_name,
		        KEY_SHORT);
	}
	if (keys->any_plain && stat(config->keys_file, &file) == 0 &&
	        (file.st_mode & S_IROTH) != 0) {
		config_warn(config,
		        "%s: '%.256s' has keys and mode %04o: every user can read them; keep "
		        "hashes "
		        "there ('docker-socket-proxy hash-key'), or take the right to read from "
		        "others",
		        config->keys_option, config->keys_file, (unsigned)file.st_mode & 07777U);
	}
}

static int read_bytes(struct keys *keys, char *bytes)
{
	const struct config *config = keys->reader->config;
	const ssize_t len = file_read(config->keys_file, bytes, KEYS_SIZE_MAX + 1);

	if (len < 0 || len > KEYS_SIZE_MAX) {
		return fault_set(keys->reader->error, NOWHERE, "%s: '%s' cannot be read: %s",
		        config->keys_option, text_show(slice_of(config->keys_file)).text,
		        len < 0 ? file_problem(config->keys_file, len) : "it is longer than 1 MiB");
	}
	return read_lines(keys, (struct slice){bytes, (size_t)len});
}

int config_parse_keys(struct reader *reader, struct slice bytes)
{
	struct keys keys = {.reader = reader, .place = {reader->config->keys_file, 0}};

	return read_lines(&keys, bytes);
}

int config_read_keys(struct reader *reader)
{
	struct config *config = reader->config;
	struct keys keys = {.reader = reader, .place = {config->keys_file, 0}};

	/* A health check needs no keys, and who makes it may not be allowed to read them. */
	if (config->keys_file == NULL || config->verb == CONFIG_HEALTHCHECK) {
		return 0;
	}
	char *bytes = malloc(KEYS_SIZE_MAX + 1);
	const int code = bytes == NULL ? fault_memory(reader->error) : read_bytes(&keys, bytes);
	if (code == 0) {
		review(&keys);
	}
	if (bytes != NULL) {
		explicit_bzero(bytes, KEYS_SIZE_MAX + 1);
	}
	free(bytes);
	config->clients.must_be_known = true;
	return code;
}
