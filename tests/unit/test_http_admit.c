/* SPDX-License-Identifier: MIT */
/*
 * Who may speak at all: forms, whose values the Engine would take rather than
 * those of the query that was judged, and browsers, where any page can make a
 * user's machine send requests.
 */
#include "cases.h"
#include "feed.h"

struct admission {
	enum http_error wanted;
	const char *about;
	struct slice bytes;
};

static enum http_error check_with(
        const struct admission *row, enum http_error (*check)(const struct http_request *))
{
	struct feed feed;

	feed_request(&feed, row->bytes, SIZE_MAX / 2);
	assert_that(row->about, feed.error == HTTP_OK && !feed.incomplete);
	const enum http_error error = check(&feed.request);
	feed_free(&feed);
	return error;
}

static void check_all(const struct admission *rows, size_t count,
        enum http_error (*check)(const struct http_request *))
{
	for (size_t i = 0; i < count; i++) {
		const enum http_error error = check_with(&rows[i], check);
		if (error != rows[i].wanted) {
			fail_msg("%s: %s", rows[i].about, http_error_text(error));
		}
	}
}

/* ── Forms ───────────────────────────────────────────────────────────────── */

#define POST(fields) SLICE_INIT("POST /containers/prune HTTP/1.1\r\nHost: docker\r\n" fields "\r\n")
#define FORM         "application/x-www-form-urlencoded"

static const struct admission forms[] = {
        {HTTP_OK, "no type, no body", POST("")},
        {HTTP_OK, "no type", POST("Content-Length: 4\r\n")},
        {HTTP_OK, "an empty type", POST("Content-Type:\r\nContent-Length: 4\r\n")},
        {HTTP_OK, "JSON", POST("Content-Type: application/json\r\nContent-Length: 4\r\n")},
        {HTTP_OK, "what docker cp sends",
                POST("Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n")},
        {HTTP_OK, "a type that only begins like a form",
                POST("Content-Type: " FORM "ed\r\nContent-Length: 4\r\n")},
        {HTTP_OK, "a form in a parameter",
                POST("Content-Type: text/plain; a=" FORM "\r\nContent-Length: 4\r\n")},
        {HTTP_OK, "curl -X POST -d ''", POST("Content-Type: " FORM "\r\nContent-Length: 0\r\n")},
        {HTTP_OK, "a form without a body", POST("Content-Type: " FORM "\r\n")},
        {HTTP_OK, "multipart without a body", POST("Content-Type: multipart/form-data\r\n")},
        {HTTP_BAD_FORM, "a form", POST("Content-Type: " FORM "\r\nContent-Length: 1\r\n")},
        {HTTP_BAD_FORM, "a chunked form",
                POST("Content-Type: " FORM "\r\nTransfer-Encoding: chunked\r\n")},
        {HTTP_BAD_FORM, "a form in capitals",
                POST("content-type: APPLICATION/X-WWW-Form-UrlEncoded\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "a form with a parameter",
                POST("Content-Type: " FORM "; charset=utf-8\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "a form with a broken parameter",
                POST("Content-Type: " FORM "\t ;;=\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "white space before a form",
                POST("Content-Type: \t  " FORM "\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "multipart",
                POST("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "any multipart",
                POST("Content-Type: Multipart/Mixed\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_FORM, "a form by PUT",
                SLICE_INIT("PUT /a HTTP/1.1\r\nHost: docker\r\nContent-Type: " FORM
                           "\r\nContent-Length: 4\r\n\r\n")},
        {HTTP_BAD_TYPE, "a space that only Unicode knows before a form",
                POST("Content-Type: \xc2\xa0" FORM "\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_TYPE, "a letter that Unicode lowers to an ASCII one",
                POST("Content-Type: appl\xc4\xb0"
                     "cation/x-www-form-urlencoded\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_TYPE_REPEATED, "two types",
                POST("Content-Type: application/json\r\ncontent-type: " FORM
                     "\r\nContent-Length: 4\r\n")},
        {HTTP_BAD_TYPE_REPEATED, "two equal types, no body",
                POST("Content-Type: text/plain\r\nContent-Type: text/plain\r\n")},
        {HTTP_BAD_TYPE_REPEATED, "an empty type and another",
                POST("Content-Type:\r\nContent-Type: " FORM "\r\nContent-Length: 4\r\n")},
};

static void forms_are_refused_however_they_are_spelled(void **state)
{
	(void)state;
	check_all(forms, ARRAY_LEN(forms), http_check_type);
}

/* ── Browsers ────────────────────────────────────────────────────────────── */

#define GET(fields)       SLICE_INIT("GET /a HTTP/1.1\r\nHost: docker:3277\r\n" fields "\r\n")
#define TO(host, fields)  SLICE_INIT("GET /a HTTP/1.1\r\nHost: " host "\r\n" fields "\r\n")
#define WEBSOCKET(fields) GET("Connection: Upgrade\r\nUpgrade: WebSocket\r\n" fields)

/* What they really send. */
#define NODE                                                                                       \
	"connection: keep-alive\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\n"  \
	"user-agent: node\r\naccept-encoding: gzip, deflate\r\n"
#define BROWSER                                                                                    \
	"Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n" \
	"Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n"
#define PORTAINER                                                                                  \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\n"              \
	"Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n"

static const struct admission browsers[] = {
        {HTTP_OK, "a plain client", GET("User-Agent: Mozilla/5.0\r\n")},
        {HTTP_OK, "fetch() of Node.js", GET(NODE)},
        {HTTP_OK, "a mode of which only browsers have the others",
                GET("sec-fetch-mode: navigate\r\n" BROWSER)},
        {HTTP_OK, "a WebSocket of Node.js",
                WEBSOCKET("sec-fetch-mode: websocket\r\naccept-language: *\r\n")},
        {HTTP_OK, "what Portainer passes on of a browser's request", GET(PORTAINER)},
        {HTTP_OK, "the same to an address", TO("192.0.2.7:2375", PORTAINER)},
        {HTTP_OK, "the same to an address in brackets", TO("[2001:db8::1]:2375", PORTAINER)},
        {HTTP_OK, "the same to a name of the network", TO("nas.local:2375", PORTAINER)},
        {HTTP_OK, "the same to Docker Desktop's name", TO("host.docker.internal", PORTAINER)},
        {HTTP_OK, "the same to a service of Kubernetes",
                TO("proxy.default.svc.cluster.local:2375", PORTAINER)},
        {HTTP_OK, "the same to a name in a network of Docker's", TO("proxy.my_net", PORTAINER)},
        {HTTP_OK, "the same to a name below one letter, which is no top level",
                TO("nas.a:2375", PORTAINER)},
        {HTTP_OK, "the same to a name below one with a digit", TO("nas.a1:2375", PORTAINER)},
        {HTTP_OK, "the same to a name that ends with a dot", TO("docker.:2375", PORTAINER)},
        {HTTP_OK, "the same to a dot", TO(".:2375", PORTAINER)},
        {HTTP_OK, "the same to nobody",
                SLICE_INIT("GET /a HTTP/1.1\r\nHost:\r\n" PORTAINER "\r\n")},
        {HTTP_OK, "the same to a port", TO(":2375", PORTAINER)},
        {HTTP_OK, "a client at a public name",
                TO("docker.example.com", "User-Agent: curl/7.88.1\r\nAccept: */*\r\n")},
        {HTTP_OK, "fetch() of Node.js at a public name", TO("docker.example.com", NODE)},
        {HTTP_OK, "a client that calls itself a browser",
                GET("User-Agent: Mozilla/5.0\r\nConnection: keep-alive\r\n")},
        {HTTP_OK, "a client that asks for a language",
                GET("User-Agent: app/1\r\nConnection: keep-alive\r\nAccept-Language: de\r\n")},
        {HTTP_OK, "a field that is only called similarly", GET("Sec-Fetched: a\r\nOrigins: b\r\n")},
        {HTTP_OK, "a WebSocket without an origin", WEBSOCKET("Sec-WebSocket-Key: a\r\n")},
        {HTTP_OK, "a WebSocket client", WEBSOCKET("Origin: http://docker:3277\r\n")},
        {HTTP_OK, "in any case", WEBSOCKET("origin: HTTPS://DOCKER:3277\r\n")},
        {HTTP_BAD_BROWSER, "a page of another site", GET("Sec-Fetch-Site: cross-site\r\n")},
        {HTTP_BAD_BROWSER, "an address that was typed", GET("sec-FETCH-site: none\r\n")},
        {HTTP_BAD_BROWSER, "fetch metadata of the future", GET("Sec-Fetch-X:\r\n")},
        {HTTP_BAD_BROWSER, "a site beside a mode",
                GET("Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n")},
        {HTTP_BAD_BROWSER, "a destination", GET("sec-fetch-dest: image\r\n")},
        {HTTP_BAD_BROWSER, "a browser's own WebSocket",
                WEBSOCKET("Origin: http://docker:3277\r\nSec-Fetch-Site: same-origin\r\n")},
        {HTTP_BAD_BROWSER, "a browser that tells a plain address nothing of a page", GET(BROWSER)},
        {HTTP_BAD_BROWSER, "the same with a language that the page set",
                GET("CONNECTION: Keep-Alive\r\nuser-agent: mozilla/5.0\r\naccept-language:\r\n")},
        {HTTP_BAD_BROWSER, "a rebound name", TO("evil.example:3277", BROWSER)},
        {HTTP_BAD_BROWSER, "a rebound name, and a User-Agent that the page set",
                TO("evil.example", "User-Agent: curl\r\nAccept-Language: *\r\n")},
        {HTTP_BAD_BROWSER, "a rebound name that ends with a dot",
                TO("Evil.Example.:80", "Accept-Language: *\r\n")},
        {HTTP_BAD_BROWSER, "a rebound name below the first and last letter",
                TO("EVIL.AZ", "Accept-Language: *\r\n")},
        {HTTP_BAD_BROWSER, "a rebound name below two letters",
                TO("evil.zz", "Accept-Language: *\r\n")},
        {HTTP_BAD_BROWSER, "a rebound name in another script",
                TO("a.xn--p1ai", "Accept-Language: *\r\n")},
        {HTTP_BAD_BROWSER, "the WebSocket of a rebound name",
                TO("evil.example", "Upgrade: websocket\r\nOrigin: http://evil.example\r\n"
                                   "Accept-Language: en\r\n")},
        {HTTP_BAD_BROWSER, "an origin without a WebSocket", GET("Origin: http://docker:3277\r\n")},
        {HTTP_BAD_BROWSER, "an empty origin", GET("Origin:\r\n")},
        {HTTP_BAD_BROWSER, "an origin with another upgrade",
                GET("Upgrade: h2c\r\nOrigin: http://docker:3277\r\n")},
        {HTTP_BAD_BROWSER, "an origin with an upgrade that is not one",
                GET("Upgrade: websocket2\r\nOrigin: http://docker:3277\r\n")},
        {HTTP_BAD_ORIGIN, "the WebSocket of another site", WEBSOCKET("Origin: http://evil\r\n")},
        {HTTP_BAD_ORIGIN, "another port", WEBSOCKET("Origin: http://docker:80\r\n")},
        {HTTP_BAD_ORIGIN, "no port", WEBSOCKET("Origin: http://docker\r\n")},
        {HTTP_BAD_ORIGIN, "a sandboxed page", WEBSOCKET("Origin: null\r\n")},
        {HTTP_BAD_ORIGIN, "no scheme", WEBSOCKET("Origin: docker:3277\r\n")},
        {HTTP_BAD_ORIGIN, "more than an authority", WEBSOCKET("Origin: http://docker:3277/\r\n")},
        {HTTP_BAD_ORIGIN, "user information", WEBSOCKET("Origin: http://docker:3277@evil\r\n")},
        {HTTP_BAD_ORIGIN, "a second origin",
                WEBSOCKET("Origin: http://docker:3277\r\nOrigin: http://evil\r\n")},
        {HTTP_BAD_ORIGIN, "an empty Host, which every origin would be equal to",
                SLICE_INIT("GET /a HTTP/1.1\r\nHost:\r\nUpgrade: websocket\r\nOrigin: "
                           "http://\r\n\r\n")},
};

static void browsers_are_told_from_clients(void **state)
{
	(void)state;
	check_all(browsers, ARRAY_LEN(browsers), http_check_browser);
}

/* ── Where browsers are served ───────────────────────────────────────────── */

static const struct admission plain_sites[] = {
        {HTTP_OK, "curl", GET("Accept: */*\r\n")},
        {HTTP_OK, "Prometheus by a public name",
                TO("proxy.example.com:9477", "Accept: text/plain\r\n")},
        {HTTP_OK, "a page of its own", GET("Sec-Fetch-Site: same-origin\r\n")},
        {HTTP_OK, "an address that was typed", GET("Sec-Fetch-Site: none\r\n" BROWSER)},
        {HTTP_OK, "a page of its own that changes something",
                GET("Origin: http://docker:3277\r\nSec-Fetch-Site: same-origin\r\n")},
        {HTTP_OK, "an address as the name", TO("192.0.2.1:9477", BROWSER)},
        {HTTP_BAD_SITE, "a page of another site", GET("Sec-Fetch-Site: cross-site\r\n")},
        {HTTP_BAD_SITE, "a page of a neighbour", GET("sec-fetch-site: same-site\r\n")},
        {HTTP_BAD_SITE, "a word of the future", GET("Sec-Fetch-Site: other\r\n")},
        {HTTP_BAD_SITE, "another origin", GET("Origin: http://evil.example\r\n")},
        {HTTP_BAD_SITE, "a sandboxed page", GET("Origin: null\r\n")},
        {HTTP_BAD_NAME, "a rebound name", TO("evil.example:9477", BROWSER)},
        {HTTP_BAD_NAME, "a rebound name, as the browser's own site",
                TO("evil.example:9477", "Sec-Fetch-Site: same-origin\r\n")},
};

static const struct admission named_sites[] = {
        {HTTP_OK, "a name that the certificate proves",
                TO("proxy.example.com", "Sec-Fetch-Site: same-origin\r\n" BROWSER)},
        {HTTP_BAD_SITE, "a page of another site", GET("Sec-Fetch-Site: cross-site\r\n")},
};

static enum http_error check_plain(const struct http_request *request)
{
	return http_check_site(request, false);
}

static enum http_error check_named(const struct http_request *request)
{
	return http_check_site(request, true);
}

static void pages_of_other_sites_are_told_from_own_ones(void **state)
{
	(void)state;
	check_all(plain_sites, ARRAY_LEN(plain_sites), check_plain);
	check_all(named_sites, ARRAY_LEN(named_sites), check_named);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(forms_are_refused_however_they_are_spelled),
	        cmocka_unit_test(browsers_are_told_from_clients),
	        cmocka_unit_test(pages_of_other_sites_are_told_from_own_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
