/* SPDX-License-Identifier: MIT */
/*
 * docker — the meaning of a request to the Engine.
 *
 * The catalogue (docker/endpoints.def) has one row for each endpoint of the Engine
 * API. docker_route() computes the canonical path of a request target and finds
 * the operation. The canonical path is the path that goes to the Engine, so that
 * the Engine's router cannot find another operation.
 *
 * Pure: no descriptor, no clock, no memory of its own.
 */
#ifndef DOCKER_DOCKER_H
#define DOCKER_DOCKER_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

/* ── The catalogue ───────────────────────────────────────────────────────── */

/* Parts of the API, named by the first segment of the path; docker/sections.def. */
enum docker_section {
#define SECTION(name, segment, variable, on) DOCKER_SECTION_##name,
#include "docker/sections.def"
#undef SECTION
	DOCKER_SECTION_COUNT,
	DOCKER_SECTION_NONE = DOCKER_SECTION_COUNT, /* the first segment names no section */
};

/* Methods that a policy tells apart; docker/methods.def. */
enum docker_method {
#define METHOD(name) DOCKER_METHOD_##name,
#include "docker/methods.def"
#undef METHOD
	DOCKER_METHOD_OTHER, /* any other method; no row of the catalogue has it */
};

/* The case counts (RFC 9110 section 9.1). */
enum docker_method docker_method_of(struct slice name);
/* "GET"; "OTHER" of DOCKER_METHOD_OTHER. */
const char *docker_method_name(enum docker_method method);

/* Traits of an operation; bits, because most operations have several. */
enum docker_trait {
	DOCKER_READ = 1 << 0,   /* changes nothing */
	DOCKER_WRITE = 1 << 1,  /* changes something, or makes the Engine do something */
	DOCKER_LEAK = 1 << 2,   /* its response may hold secrets or the contents of files */
	DOCKER_STREAM = 1 << 3, /* its response may be endless or take long */
	DOCKER_ATTACH = 1 << 4, /* reads no body; the response is 101, or 200 and a raw stream */
	DOCKER_EXEC =
	        1 << 5, /* reads a JSON body; the response is as that of attach, or ordinary */
	DOCKER_UPGRADE = 1 << 6, /* 101 or an ordinary response: attach/ws, session, grpc */
	DOCKER_JSON = 1 << 7,    /* its body is JSON */
	DOCKER_TAR = 1 << 8,     /* its body is a tar archive */
	DOCKER_FAR = 1 << 9,     /* makes the Engine contact another machine */
	DOCKER_ROOT = 1 << 10,   /* enough to become root on the host */
	DOCKER_BUILD = 1 << 11,  /* builds images */
	DOCKER_HIJACK = DOCKER_ATTACH | DOCKER_EXEC | DOCKER_UPGRADE,
};

struct docker_endpoint {
	const char *operation; /* noun.verb: "container.inspect" */
	const char *method;
	const char *path;  /* "/containers/{id}/json"; "{name...}" may hold slashes */
	const char *query; /* key that must have a value if this row is to fit; NULL: none */
	enum docker_section section;
	unsigned traits;
	unsigned
	        since; /* first API version, 100 * major + minor; 0: before 1.12, or podman's API */
	unsigned before; /* the path must have a version below this one; 0: no condition */
	bool body;       /* the request must have a body */
	/* The response has no end of its own, under the conditions below: docker_is_endless(). */
	bool endless;
	/*
	 * Keys of the query that name the object, for the log; NULL: none. Their values
	 * must not be secret.
	 */
	const char *name;
	const char *image;
	const char *tag; /* tag of the image, if the query has a separate key for it */
	/* Conditions of `endless`. */
	const char *if_on;        /* a switch of the query that must be on; NULL: none */
	const char *unless_off;   /* one that must not be off; NULL: none */
	const char *unless_given; /* a key that must have no value; NULL: none */
};

/*
 * The request id. Ids below docker_endpoint_count are rows of the catalogue. Ids
 * above stand for requests that no row fits, by section and by kind of method
 * (GET and HEAD; OPTIONS, which the Engine serves on any path; others). A table
 * of docker_id_count() entries therefore has an entry for every request. Several
 * rows may belong to one operation (HEAD and GET of /_ping).
 */
extern const unsigned docker_endpoint_count;
unsigned docker_id_count(void);
/* NULL if no row fits. */
const struct docker_endpoint *docker_endpoint(unsigned id);
/* Whether the Engine may serve a decoded path without API version by this row, whatever the method.
 */
bool docker_has_path(unsigned id, struct slice path);
/* "container.inspect"; if no row fits, "system.options" or "unknown". */
const char *docker_operation_name(unsigned id);
/* DOCKER_SECTION_NONE if the path is in no section. */
enum docker_section docker_id_section(unsigned id);
/* Whether the operation is `unknown`: no row fits, and the method is not OPTIONS. */
bool docker_id_is_unknown(unsigned id);
/* Whether the method is GET or HEAD. */
bool docker_id_is_read_method(unsigned id);

/* "CONTAINERS", "LIBPOD_CONTAINERS": the switch that opens the section. */
const char *docker_section_variable(enum docker_section section);
/* "containers", "libpod/containers": the beginning of the section's paths. */
struct slice docker_section_segment(enum docker_section section);

/* ── Routing ─────────────────────────────────────────────────────────────── */

enum {
	DOCKER_PATH_MAX = 4096, /* bytes of a canonical path; longer ones are refused */
};

/* Why a target was refused: docker/errors.def. */
enum docker_error {
	DOCKER_OK = 0,
#define DOCKER_ERROR(name, text) DOCKER_BAD_##name,
#include "docker/errors.def"
#undef DOCKER_ERROR
};

/* A complete sentence for the client. */
const char *docker_error_text(enum docker_error error);

struct docker_version {
	uint16_t major; /* 0: the path has no version; the Engine then uses its newest */
	uint16_t minor;
	uint16_t patch;
	uint16_t parts; /* number of parts in the path, 0 to 3 */
};

/* The input of docker_route(); slices of the request. */
struct docker_target {
	struct slice method;
	struct slice path;  /* as sent, up to the query; "*" with OPTIONS */
	struct slice query; /* after the question mark; ptr NULL: none */
	bool has_body;      /* the head announces a body that is not empty */
};

struct docker_request {
	unsigned id; /* request id, see docker_id_count() */
	/*
	 * If no row fits: the row by which the Engine's router serves the request
	 * nevertheless. That router allows slashes in every name
	 * (/containers/app/db/logs: with links, app/db is a container) and any method
	 * below /debug. A policy must then allow both ids. Otherwise equal to `id`.
	 */
	unsigned served_id;
	struct slice method; /* of the target; for rules about requests that no row fits */
	struct docker_version version;
	struct slice path; /* canonical, encoded, with the version: as forwarded */
	struct slice bare; /* decoded, without the version: for rules with `path` */
	struct slice name; /* decoded value of the row's first parameter; ptr NULL: none */
	/* Memory of the slices. If the received path is canonical, the slices point into
	 * the target instead. Do not copy the struct; it need not be zeroed. */
	char encoded[DOCKER_PATH_MAX];
	char decoded[DOCKER_PATH_MAX];
};

/*
 * Route `target`. DOCKER_OK, or the reason to refuse it: bad escapes, an escaped
 * slash, dot segments, and other spellings that two readers can understand in two
 * ways.
 */
enum docker_error docker_route(
        const struct docker_target *target, struct docker_request *ret_request) MUST_USE;

/*
 * The path that the Engine gets, decoded, with the API version in its shortest form:
 * "/v1.41/containers/a b/json". Uses `memory` if the request does not contain these bytes.
 */
struct slice docker_versioned_path(
        const struct docker_request *request, char memory[DOCKER_PATH_MAX]) MUST_USE;

/*
 * Put `name` in place of the row's first parameter in the path that goes to the Engine; it needs no
 * escapes. `request->name` stays what the client sent. False: the path would be too long.
 */
bool docker_replace_name(struct docker_request *request, struct slice name) MUST_USE;

/*
 * Append the name or the image in the query of a routed request: "web", "alpine:3.19".
 * Nothing is appended if the row has no such key. Letters, digits and -._~/:@ are decoded, other
 * bytes are written as %XX. A value that does not fit is cut, and sets text->overflow.
 */
void docker_add_name(unsigned id, struct slice query, struct text *text);
void docker_add_image(unsigned id, struct slice query, struct text *text);

/*
 * Whether the response to this routed request goes on until the client leaves: then it may be ended
 * between two records, and what the client has is whole. In doubt it is not.
 */
bool docker_is_endless(unsigned id, struct slice query);

/*
 * Take the next parameter from the front of the query of a routed request, decoded as Go's
 * url.ParseQuery does; its bytes are appended to `memory`. False if there is none any more, or if
 * `memory` is full.
 */
bool docker_next_parameter(struct slice *query, struct text *memory, struct slice *ret_name,
        struct slice *ret_value) MUST_USE;

/* Whether a 200 to attach or exec start with this Content-Type is a raw stream. */
bool docker_is_raw_stream(struct slice content_type);

#endif
