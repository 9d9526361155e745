/* SPDX-License-Identifier: MIT */
#include "operate/fetch.h"

#include "base/clock.h"
#include "base/file.h"
#include "health/secure.h"
#include "identity/key.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	US_PER_S = 1000 * 1000,
	REQUEST_MAX = KEY_MAX + 1024,
	ANSWER_FIRST = 64 * 1024,
	ANSWER_MAX = 64 * 1024 * 1024, /* bytes of a head and a body */
};

/* ── Where, and with which key ───────────────────────────────────────────── */

static bool take_key(
        struct place_to_ask *place, struct slice text, const char *from, char error[FAULT_MAX])
{
	const struct slice key = slice_trim(text);
	const char *problem = key_problem(key);

	if (problem != NULL) {
		(void)fault_set(error, NOWHERE, "%s: the key is not accepted: %s", from, problem);
		return false;
	}
	place->key_len = text_keep(place->key, sizeof(place->key), key);
	return true;
}

static bool read_key(struct place_to_ask *place, const char *file, char error[FAULT_MAX])
{
	char bytes[KEY_MAX + 2]; /* with the end of the line */
	const ssize_t len = file_read(file, bytes, sizeof(bytes));

	if (len < 0) {
		(void)fault_set(error, NOWHERE, "--key-file: '%.512s' %s",
		        text_show(slice_of(file)).text, file_problem(file, len));
		return false;
	}
	struct slice rest = {bytes, (size_t)len};
	struct slice line = {bytes, 0};
	(void)slice_next(&rest, '\n', &line);
	const bool good = take_key(place, line, "--key-file", error);
	explicit_bzero(bytes, sizeof(bytes));
	return good;
}

static bool find_key(
        const struct config_request *asked, struct place_to_ask *place, char error[FAULT_MAX])
{
	const char *key = getenv("ADMIN_KEY");

	if (asked->key_file != NULL) {
		return read_key(place, asked->key_file, error);
	}
	return key == NULL || key[0] == '\0' || take_key(place, slice_of(key), "ADMIN_KEY", error);
}

bool place_find(const struct config_request *asked, const char *file,
        struct place_to_ask *ret_place, char error[FAULT_MAX])
{
	ret_place->certificate = NULL;
	ret_place->ca_file = asked->ca_file;
	ret_place->key_len = 0;
	return targets_find_admin(asked->address, file, &ret_place->targets,
	               &ret_place->certificate, error) == 0 &&
	       find_key(asked, ret_place, error);
}

void place_free(struct place_to_ask *place)
{
	explicit_bzero(place->key, sizeof(place->key));
	free(place->certificate);
}

/* ── The connection ──────────────────────────────────────────────────────── */

struct connection {
	const struct place_to_ask *place;
	char *error;
	int fd;
	struct secure *secure;      /* NULL: no TLS */
	int64_t deadline_ns;        /* monotonic */
	char name[TARGET_NAME_MAX]; /* that the certificate must have */
};

static int fail(struct connection *connection, const char *problem, int error)
{
	(void)fault_set(connection->error, NOWHERE, "%s %s%s%s", connection->place->targets.name,
	        problem, error != 0 ? ": " : "", error != 0 ? strerrordesc_np(error) : "");
	return -1;
}

/* The time that is left, at least a microsecond: 0 would mean for ever. */
static struct timeval time_left(const struct connection *connection)
{
	const int64_t us = (connection->deadline_ns - clock_monotonic_ns()) / 1000;

	return us > 0 ? (struct timeval){us / US_PER_S, us % US_PER_S} : (struct timeval){0, 1};
}

static int connect_to_any(struct connection *connection)
{
	const struct targets *targets = &connection->place->targets;
	int first_error = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < targets->count; i++) {
		const struct timeval wait = time_left(connection);
		const int r = address_connect(&targets->addresses[i], &wait);
		if (r >= 0) {
			connection->fd = r;
			return 0;
		}
		first_error = i > 0                               ? first_error
		              : r == -EAGAIN || r == -EINPROGRESS ? -ETIMEDOUT
		                                                  : r;
	}
	return fail(connection, "cannot be connected to", -first_error);
}

/* Of tls://HOST:PORT the host, without brackets. */
static const char *name_of(struct connection *connection)
{
	struct slice host = slice_of(connection->place->targets.name);
	struct text text = text_over(connection->name, sizeof(connection->name) - 1);

	(void)slice_skip(&host, SLICE("tls://"));
	const char *colon = host.len > 0 ? memrchr(host.ptr, ':', host.len) : NULL;
	host.len = colon != NULL ? (size_t)(colon - host.ptr) : host.len;
	if (slice_skip(&host, SLICE("["))) {
		host.len--;
	}
	text_add(&text, host.len == 0 || slice_equal(host, SLICE("*")) ? SLICE("localhost") : host);
	text_add_char(&text, '\0');
	return connection->name;
}

/* A key is shown to nobody who is not verified. */
static int secure(struct connection *connection)
{
	const struct place_to_ask *place = connection->place;
	const char *trusted = place->ca_file != NULL ? place->ca_file : place->certificate;
	char why[FAULT_MAX];

	if (!address_is_tls(place->targets.name)) {
		return 0;
	}
	if (trusted == NULL) {
		return fail(connection,
		        "cannot be verified: give --ca FILE, with its certificate or that of its "
		        "authority",
		        0);
	}
	connection->secure = secure_new_verified(
	        connection->fd, trusted, place->ca_file != NULL ? name_of(connection) : NULL, why);
	return connection->secure != NULL ? 0 : fail(connection, why, 0);
}

static int send_request(struct connection *connection, const char *method, struct slice path)
{
	const struct place_to_ask *place = connection->place;
	char memory[REQUEST_MAX];
	struct text text = text_over(memory, sizeof(memory));

	/* An HTTP/1.0 client is sent no chunks. */
	text_add_format(&text,
	        "%s %.*s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n", method,
	        SLICE_FMT(path));
	if (place->key_len > 0) {
		text_add_format(&text, "X-Api-Key: %.*s\r\n", (int)place->key_len, place->key);
	}
	text_add(&text, SLICE("\r\n"));
	/* A fresh connection takes this much at once. */
	const ssize_t sent = text.overflow ? -1
	                     : connection->secure != NULL
	                             ? secure_write(connection->secure, text.ptr, text.len)
	                             : send(connection->fd, text.ptr, text.len, MSG_NOSIGNAL);
	const bool whole = sent == (ssize_t)text.len;
	explicit_bzero(memory, sizeof(memory));
	return whole ? 0 : fail(connection, "takes no request", 0);
}

/* Bytes, 0 at the end, or -errno. */
static ssize_t read_some(struct connection *connection, char *memory, size_t len)
{
	const struct timeval wait = time_left(connection);

	(void)setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connection->secure != NULL) {
		return secure_read(connection->secure, memory, len);
	}
	const ssize_t n = recv(connection->fd, memory, len, 0);
	return n >= 0 ? n : errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* ── The answer ──────────────────────────────────────────────────────────── */

/* Up to the end of the connection. */
static int receive(struct connection *connection, struct answer *answer, size_t *ret_len)
{
	size_t size = ANSWER_FIRST;
	ssize_t n = 1;

	answer->memory = check_memory(malloc(size));
	for (*ret_len = 0; n > 0; *ret_len += n > 0 ? (size_t)n : 0) {
		if (*ret_len == size) {
			size *= 2;
			answer->memory = check_memory(realloc(answer->memory, size));
		}
		n = *ret_len >= ANSWER_MAX
		            ? -EFBIG
		            : read_some(connection, answer->memory + *ret_len, size - *ret_len);
	}
	if (n == -EKEYREJECTED) {
		return fail(connection,
		        "demands a certificate, and this command presents none: give admin.tls "
		        "'client_cert: optional' and a key, or let the admin listener be a unix "
		        "socket",
		        0);
	}
	return n < 0 ? fail(connection, "sends no complete answer", (int)-n) : 0;
}

static int parse(struct connection *connection, struct answer *answer, size_t len)
{
	const struct slice all = {answer->memory, len};
	const char *end = memmem(all.ptr, all.len, "\r\n\r\n", 4);
	uint64_t status = 0;

	if (end == NULL || all.len < sizeof("HTTP/1.1 200\r\n\r\n") - 1 ||
	        !slice_starts_with(all, SLICE("HTTP/1.")) ||
	        slice_to_u64((struct slice){all.ptr + 9, 3}, 999, &status) < 0) {
		return fail(connection, "is no admin listener: it does not speak HTTP", 0);
	}
	answer->status = (unsigned)status;
	answer->body = slice_between(end + 4, all.ptr + all.len);
	return 0;
}

static int ask(
        struct connection *connection, const char *method, struct slice path, struct answer *answer)
{
	size_t len = 0;

	if (secure(connection) < 0 || send_request(connection, method, path) < 0 ||
	        receive(connection, answer, &len) < 0) {
		return -1;
	}
	return parse(connection, answer, len);
}

int fetch(const struct place_to_ask *place, const char *method, struct slice path,
        unsigned timeout_s, struct answer *ret_answer, char error[FAULT_MAX])
{
	struct connection connection = {
	        .place = place,
	        .error = error,
	        .deadline_ns = clock_monotonic_ns() + timeout_s * NS_PER_S,
	};

	error[0] = '\0';
	*ret_answer = (struct answer){.memory = NULL};
	if (connect_to_any(&connection) < 0) {
		return -1;
	}
	const int r = ask(&connection, method, path, ret_answer);
	secure_free(connection.secure);
	(void)close(connection.fd);
	return r;
}

void answer_free(struct answer *answer)
{
	free(answer->memory);
	*answer = (struct answer){.memory = NULL};
}
