/* SPDX-License-Identifier: MIT */
#include "http/http.h"

struct description {
	unsigned status;
	const char *text;
};

static const struct description descriptions[] = {
        [HTTP_OK] = {200, "no error"},
#define ERROR(name, status, text) [HTTP_BAD_##name] = {status, text},
#include "http/errors.def"
#undef ERROR
};

unsigned http_error_status(enum http_error error)
{
	return descriptions[error].status;
}

const char *http_error_text(enum http_error error)
{
	return descriptions[error].text;
}

/* RFC 9110 section 15; 429 and 431 by RFC 6585, 508 by RFC 5842. */
static const struct description reasons[] = {
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {508, "Loop Detected"},
};

const char *http_reason(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status) {
			return reasons[i].text;
		}
	}
	return ""; /* a reason may be empty (RFC 9112 section 4) */
}
