/* SPDX-License-Identifier: MIT */
#include "certs/certs.h"

#include "base/slice.h"
#include "base/text.h"
#include "certs/files.h"
#include "certs/issue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MODE_KEY = 0400,
	MODE_CERTIFICATE = 0444,
	HOST_LEN_MAX = 253, /* of a name in DNS */
	ALTERNATIVES_MAX = (CERTS_HOSTS_MAX + 4) * (HOST_LEN_MAX + sizeof("DNS:,")),
};

/* What is made, while it is made. */
struct making {
	const struct certs_order *order;
	char *error;
	struct identity_pair authority;
	bool is_new; /* the authority */
	struct files files;
	char alternatives[ALTERNATIVES_MAX]; /* of the server; empty: none is made */
};

static int fail_memory(struct making *making)
{
	return fault_set(
	        making->error, NOWHERE, "certs: no memory or no random numbers: nothing was made");
}

/* ── Hosts ───────────────────────────────────────────────────────────────── */

static bool is_address(const char *host)
{
	unsigned char binary[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

/* RFC 1123 §2.1, with underscores, which names of containers have; a star may be the first label.
 */
static bool is_name(struct slice host)
{
	struct slice label;
	bool is_first = true;

	if (host.len == 0 || host.len > HOST_LEN_MAX) {
		return false;
	}
	while (slice_next(&host, '.', &label)) {
		const bool is_star = is_first && host.ptr != NULL && slice_equal(label, SLICE("*"));
		is_first = false;
		if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
		        label.ptr[label.len - 1] == '-') {
			return false;
		}
		for (size_t i = 0; i < label.len && !is_star; i++) {
			if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-' &&
			        label.ptr[i] != '_') {
				return false;
			}
		}
	}
	return true;
}

static void add_alternative(struct text *text, const char *host)
{
	text_add_format(
	        text, "%s%s:%s", text->len > 0 ? "," : "", is_address(host) ? "IP" : "DNS", host);
}

/* The name of this machine; "localhost" if it is of no use in a certificate. */
static const char *machine_name(char name[HOST_LEN_MAX + 1])
{
	name[0] = '\0';
	(void)gethostname(name, HOST_LEN_MAX);
	name[HOST_LEN_MAX] = '\0';
	return is_name(slice_of(name)) ? name : "localhost";
}

static const char *first_host(const struct making *making, char name[HOST_LEN_MAX + 1])
{
	return making->order->host_count > 0 ? making->order->hosts[0] : machine_name(name);
}

static int add_hosts(struct making *making)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "::1"};
	const struct certs_order *order = making->order;
	struct text text = text_over(making->alternatives, sizeof(making->alternatives) - 1);
	char name[HOST_LEN_MAX + 1];

	for (unsigned i = 0; i < order->host_count; i++) {
		if (!is_address(order->hosts[i]) && !is_name(slice_of(order->hosts[i]))) {
			return fault_set(making->error, NOWHERE,
			        "--host: '%s' is not accepted: give the name or the IP address by "
			        "which "
			        "clients reach the server, without brackets and port",
			        text_show(slice_of(order->hosts[i])).text);
		}
		add_alternative(&text, order->hosts[i]);
	}
	if (order->host_count == 0 && strcmp(machine_name(name), "localhost") != 0) {
		add_alternative(&text, name);
	}
	for (unsigned i = 0; i < ARRAY_LEN(local); i++) {
		add_alternative(&text, local[i]);
	}
	ASSERT(!text.overflow);
	making->alternatives[text.len] = '\0';
	return 0;
}

/* ── Clients ─────────────────────────────────────────────────────────────── */

static bool is_client_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];
		if (!ascii_is_alnum(c) && (i == 0 || (c != '.' && c != '_' && c != '-'))) {
			return false;
		}
	}
	return name.len > 0 && name.len <= ISSUE_NAME_MAX;
}

static int check_clients(struct making *making)
{
	const struct certs_order *order = making->order;

	for (unsigned i = 0; i < order->client_count; i++) {
		const char *name = order->clients[i];
		if (!is_client_name(slice_of(name))) {
			return fault_set(making->error, NOWHERE,
			        "--client: '%s' is not accepted: a name has at most %d letters, "
			        "digits, "
			        "dots, dashes and underscores, and begins with a letter or a digit",
			        text_show(slice_of(name)).text, ISSUE_NAME_MAX);
		}
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(name, order->clients[k]) == 0) {
				return fault_set(making->error, NOWHERE,
				        "--client: '%s' is given twice", name);
			}
		}
	}
	return 0;
}

/* ── Files ───────────────────────────────────────────────────────────────── */

static int add(struct making *making, const char *folder, const char *name, mode_t mode,
        struct slice bytes)
{
	return files_add(&making->files, folder, name, mode, bytes, making->error);
}

static int add_pair(struct making *making, const char *folder, const struct identity_pair *pair,
        const char *certificate, const char *key)
{
	return add(making, folder, key, MODE_KEY, issue_write_key(pair)) < 0 ||
	                       add(making, folder, certificate, MODE_CERTIFICATE,
	                               issue_write_certificate(pair)) < 0
	               ? -EINVAL
	               : 0;
}

/* `alternatives` NULL: of a client. */
static int issue(struct making *making, const char *folder, const char *name,
        const char *alternatives, const char *certificate, const char *key)
{
	struct identity_pair pair;
	const int code = issue_certificate(
	                         &making->authority, name, alternatives, making->order->days, &pair)
	                         ? add_pair(making, folder, &pair, certificate, key)
	                         : fail_memory(making);

	identity_pair_free(&pair);
	return code;
}

static int issue_server(struct making *making)
{
	char name[HOST_LEN_MAX + 1];
	const char *host = first_host(making, name);

	/* A long name stands in the alternatives alone, which is where clients look. */
	return issue(making, making->order->folder,
	        strlen(host) <= ISSUE_NAME_MAX ? host : "docker-socket-proxy", making->alternatives,
	        "server-cert.pem", "server-key.pem");
}

static int issue_client(struct making *making, const char *name)
{
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof(folder), "%s/%s", making->order->folder, name);
	if (files_add_folder(&making->files, folder, making->error) < 0 ||
	        issue(making, folder, name, NULL, "cert.pem", "key.pem") < 0) {
		return -EINVAL;
	}
	return add(making, folder, "ca.pem", MODE_CERTIFICATE,
	        issue_write_certificate(&making->authority));
}

static int issue_clients(struct making *making)
{
	const struct certs_order *order = making->order;

	for (unsigned i = 0; i < order->client_count; i++) {
		if (issue_client(making, order->clients[i]) < 0) {
			return -EINVAL;
		}
	}
	return order->client_count == 0 && making->is_new
	               ? issue(making, order->folder, "client", NULL, "cert.pem", "key.pem")
	               : 0;
}

/* ── The authority ───────────────────────────────────────────────────────── */

static int read_authority(struct making *making, const char *certificate, const char *key)
{
	const struct certs_order *order = making->order;

	if (order->host_count == 0 && order->client_count == 0) {
		return fault_set(making->error, NOWHERE,
		        "certs: %.512s has a certificate authority already, and nothing is "
		        "overwritten: --client NAME adds a client, --host NAME a server "
		        "certificate",
		        order->folder);
	}
	return issue_read_authority(certificate, key, &making->authority, making->error);
}

static bool exists(const char *path)
{
	struct stat found;

	return lstat(path, &found) == 0;
}

/* That of the folder, or a new one. */
static int find_authority(struct making *making)
{
	const char *folder = making->order->folder;
	char certificate[PATH_MAX];
	char key[PATH_MAX];

	(void)snprintf(certificate, sizeof(certificate), "%s/ca.pem", folder);
	(void)snprintf(key, sizeof(key), "%s/ca-key.pem", folder);
	making->is_new = !exists(certificate) && !exists(key);
	if (!making->is_new) {
		return read_authority(making, certificate, key);
	}
	if (!issue_authority(making->order->days, &making->authority)) {
		return fail_memory(making);
	}
	return add_pair(making, folder, &making->authority, "ca.pem", "ca-key.pem");
}

/* ── What to do with them ────────────────────────────────────────────────── */

static void print_use_of_server(const struct making *making, FILE *out)
{
	const char *folder = making->order->folder;

	(void)fprintf(out,
	        "\n"
	        "The server certificate is for %s.\n"
	        "The proxy with it, for clients of this authority alone:\n"
	        "  TLS_CERT=%s/server-cert.pem TLS_KEY=%s/server-key.pem TLS_CLIENT_CA=%s/ca.pem "
	        "docker-socket-proxy\n"
	        "The image reads as user 65532: chown 65532 %s/server-key.pem\n"
	        "Docker's Engine with it:\n"
	        "  dockerd --tlsverify --tlscacert %s/ca.pem --tlscert %s/server-cert.pem --tlskey "
	        "%s/server-key.pem -H tcp://0.0.0.0:2376\n",
	        making->alternatives, folder, folder, folder, folder, folder, folder, folder);
}

static void print_use_of_client(const char *folder, const char *name, const char *host, FILE *out)
{
	const char *separator = name[0] != '\0' ? "/" : "";

	(void)fprintf(out,
	        "\n"
	        "Client '%s':\n"
	        "  DOCKER_HOST=tcp://%s:3277 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=%s%s%s docker "
	        "ps\n"
	        "  docker --tlsverify --tlscacert %s%s%s/ca.pem --tlscert %s%s%s/cert.pem --tlskey "
	        "%s%s%s/key.pem -H tcp://%s:3277 ps\n",
	        name[0] != '\0' ? name : "client", host, folder, separator, name, folder, separator,
	        name, folder, separator, name, folder, separator, name, host);
}

/* The server, as a client writes it into an address. */
static void add_server(const struct making *making, struct text *text)
{
	char name[HOST_LEN_MAX + 1];
	const char *host = making->alternatives[0] != '\0' ? first_host(making, name) : "HOST";

	if (host[0] == '*') {
		host = "HOST";
	}
	text_add_format(text, strchr(host, ':') != NULL ? "[%s]" : "%s", host);
	text_add_char(text, '\0');
}

static int print_made(const struct making *making, FILE *out)
{
	const struct certs_order *order = making->order;
	char host[HOST_LEN_MAX + sizeof("[]")];
	struct text server = text_over(host, sizeof(host));

	add_server(making, &server);

	for (unsigned i = 0; i < making->files.count; i++) {
		(void)fprintf(out, "%s\n", making->files.list[i].path);
	}
	if (making->is_new) {
		(void)fprintf(out,
		        "\n"
		        "Whoever has %s/ca-key.pem can make clients. Only `docker-socket-proxy "
		        "certs %s --client NAME` needs it, for further clients.\n",
		        order->folder, order->folder);
	}
	if (making->alternatives[0] != '\0') {
		print_use_of_server(making, out);
	}
	for (unsigned i = 0; i < order->client_count; i++) {
		print_use_of_client(order->folder, order->clients[i], host, out);
	}
	if (order->client_count == 0 && making->is_new) {
		print_use_of_client(order->folder, "", host, out);
	}
	return fflush(out) == 0 ? 0
	                        : fault_set(making->error, NOWHERE,
	                                  "certs: what was made cannot be printed");
}

/* ── The whole ───────────────────────────────────────────────────────────── */

static int make(struct making *making, FILE *out)
{
	const struct certs_order *order = making->order;

	if (check_clients(making) < 0 ||
	        files_add_folder(&making->files, order->folder, making->error) < 0 ||
	        find_authority(making) < 0) {
		return -EINVAL;
	}
	if ((making->is_new || order->host_count > 0) &&
	        (add_hosts(making) < 0 || issue_server(making) < 0)) {
		return -EINVAL;
	}
	return issue_clients(making) < 0 || files_make(&making->files, making->error) < 0
	               ? -EINVAL
	               : print_made(making, out);
}

int certs_make(const struct certs_order *order, FILE *out, char error[FAULT_MAX])
{
	struct making *making = calloc(1, sizeof(*making));

	if (making == NULL) {
		return fault_memory(error);
	}
	making->order = order;
	making->error = error;
	const int code = make(making, out);
	identity_pair_free(&making->authority);
	files_done(&making->files);
	free(making);
	return code;
}
