/* SPDX-License-Identifier: MIT */
#include "explain/explain.h"

#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum {
	EXIT_ALLOWED = 0,
	EXIT_DENIED = 1,
	EXIT_USAGE = 2,
	HEAD_MAX = 16 * 1024,
	ANSWER_MAX = 8 * 1024,
};

/* What is asked, and the memory it lies in. */
struct question {
	const struct config *config;
	bool has_body;
	char head[HEAD_MAX];
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_request parsed;
	struct docker_request request;
	struct policy_scratch *scratch;
};

static int usage(const char *format, ...) PRINTF_LIKE(1, 2);
static int usage(const char *format, ...)
{
	va_list arguments;

	(void)fputs("docker-socket-proxy: explain: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	return EXIT_USAGE;
}

/* ── The request ─────────────────────────────────────────────────────────── */

/* METHOD and target, given as two words or as one with a space between them. */
static bool split(const struct config *config, struct slice *ret_method, struct slice *ret_target)
{
	const char *space = strchr(config->request[0], ' ');

	if (config->request[1] != NULL) {
		*ret_method = slice_of(config->request[0]);
		*ret_target = slice_of(config->request[1]);
	} else if (space != NULL) {
		*ret_method = slice_between(config->request[0], space);
		*ret_target = slice_trim(slice_of(space + 1));
	} else {
		return false;
	}
	return ret_method->len > 0 && ret_target->len > 0;
}

/* Of "http://host:port/path" the middle, as clients send it; else any. */
static struct slice host_for(struct slice target)
{
	const char *end = target.ptr + target.len;
	const char *colon = memmem(target.ptr, target.len, "://", 3);

	if (target.ptr[0] == '/' || colon == NULL) {
		return SLICE("docker");
	}
	const char *host = colon + 3;
	const char *slash = memchr(host, '/', (size_t)(end - host));
	return slice_between(host, slash != NULL ? slash : end);
}

/* What a client would send is parsed as a client's is, so that the verdict is the same. */
static const char *parse(struct question *question, struct slice method, struct slice target)
{
	struct text head = text_over(question->head, sizeof(question->head));
	struct http_scan scan = {0};

	text_add(&head, method);
	text_add(&head, SLICE(" "));
	text_add(&head, target);
	text_add(&head, SLICE(" HTTP/1.1\r\nHost: "));
	text_add(&head, host_for(target));
	text_add(&head,
	        question->has_body ? SLICE("\r\nContent-Length: 1\r\n\r\n") : SLICE("\r\n\r\n"));
	if (head.overflow) {
		return http_error_text(HTTP_BAD_TOO_LARGE);
	}
	if (http_scan_head(&scan, text_slice(&head)) != HTTP_DONE) {
		return http_error_text(scan.error);
	}
	const enum http_error error =
	        http_request_parse(text_slice(&head), question->fields, &question->parsed);
	return error == HTTP_OK ? NULL : http_error_text(error);
}

static const char *route(struct question *question)
{
	const struct http_request *parsed = &question->parsed;
	const struct docker_target target = {
	        .method = parsed->method,
	        .path = parsed->path,
	        .query = parsed->query,
	        .has_body = question->has_body,
	};
	const enum docker_error error = docker_route(&target, &question->request);

	return error == DOCKER_OK ? NULL : docker_error_text(error);
}

/* ── The answer ──────────────────────────────────────────────────────────── */

static void print_place(const char *label, const char *name, struct place place)
{
	char memory[1024];
	struct text text = text_over(memory, sizeof(memory));

	policy_add_place(place, &text);
	printf("%s: %s (%.*s)\n", label, name, SLICE_FMT(text_slice(&text)));
}

static void print_verdict(const struct policy *policy, const struct verdict *verdict)
{
	print_place("policy", policy_name(policy), policy_place(policy));
	if (verdict->rule != NULL) {
		print_place("rule", verdict->rule, verdict->place);
	} else {
		printf("rule: none fits, and what no rule fits is denied\n");
	}
	if (verdict->observed) {
		printf("mode: observe: it would be denied, and is let through and recorded\n");
	}
}

static void print_advice(const struct question *question, const struct policy *policy)
{
	char memory[ANSWER_MAX];
	struct text text = text_over(memory, sizeof(memory));

	policy_advise(policy, &question->request, &text);
	if (text.len > 0) {
		printf("to allow it: %.*s\n", SLICE_FMT(text_slice(&text)));
	}
}

static void print_notes(const struct question *question)
{
	const struct docker_request *request = &question->request;

	printf("forwarded as: %.*s %.*s%s%.*s\n", SLICE_FMT(request->method),
	        SLICE_FMT(request->path), question->parsed.query.ptr != NULL ? "?" : "",
	        SLICE_FMT(question->parsed.query));
	if (question->config->body_file != NULL) {
		printf("body: this version looks only at whether there is one\n");
	}
}

/* Listeners that would decide in another way than the one that was asked. */
static void print_others(struct question *question, const struct verdict *first)
{
	const struct config *config = question->config;

	for (unsigned i = 1; i < config->listener_count; i++) {
		const struct policy *policy = config->listeners[i].policy;
		const struct verdict verdict =
		        policy_judge(policy, &question->request, question->scratch);
		if (verdict.allowed != first->allowed) {
			printf("but at %s: %s, by policy %s\n", config->listeners[i].address,
			        verdict.allowed ? "allow" : "deny", policy_name(policy));
		}
	}
}

static int judge(struct question *question)
{
	const struct config *config = question->config;
	const bool chosen =
	        config->policy_option != NULL && strcmp(config->policy_option, "--policy") == 0;
	const struct policy *policy = chosen ? config->policy : config->listeners[0].policy;
	const struct verdict verdict = policy_judge(policy, &question->request, question->scratch);

	printf("%s %s\n", verdict.allowed ? "allow" : "deny",
	        docker_operation_name(question->request.id));
	if (!chosen && config->listener_count > 1) {
		printf("listener: %s\n", config->listeners[0].address);
	}
	print_verdict(policy, &verdict);
	if (!verdict.allowed || verdict.observed) {
		print_advice(question, policy);
	}
	print_notes(question);
	if (!chosen) {
		print_others(question, &verdict);
	}
	return verdict.allowed ? EXIT_ALLOWED : EXIT_DENIED;
}

static bool is_health(const struct question *question)
{
	const struct slice method = question->request.method;

	return (slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"))) &&
	       slice_equal(question->request.path, SLICE("/health"));
}

static int answer(struct question *question)
{
	struct slice method;
	struct slice target;

	if (!split(question->config, &method, &target)) {
		return usage("'%s' is not a request: give 'METHOD /path?query', such as 'GET "
		             "/containers/json'",
		        question->config->request[0]);
	}
	const char *problem = parse(question, method, target);
	if (problem == NULL) {
		problem = route(question);
	}
	if (problem != NULL) {
		printf("deny malformed: it is answered with 400, whatever the policy\n"
		       "reason: %s\n",
		        problem);
		return EXIT_DENIED;
	}
	if (is_health(question)) {
		printf("allow health\nThe proxy answers it itself, whatever the policy.\n");
		return EXIT_ALLOWED;
	}
	return judge(question);
}

/* Whether a file, "-" being standard input, has a first byte: 1 or 0; or -errno. */
static ssize_t read_byte(const char *path)
{
	char byte;
	const bool is_stdin = strcmp(path, "-") == 0;
	const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const ssize_t len = fd < 0 ? -1 : read(fd, &byte, 1);
	const int error = errno;

	if (fd >= 0 && !is_stdin) {
		(void)close(fd);
	}
	return len < 0 ? -error : len;
}

int explain_request(const struct config *config)
{
	struct question question = {.config = config};

	if (config->body_file != NULL) {
		const ssize_t len = read_byte(config->body_file);
		if (len < 0) {
			return usage("--body: '%s' cannot be read: %s", config->body_file,
			        strerrordesc_np((int)-len));
		}
		question.has_body = len > 0;
	}
	question.scratch = policy_scratch_new();
	const int code = answer(&question);
	policy_scratch_free(question.scratch);
	return code;
}
