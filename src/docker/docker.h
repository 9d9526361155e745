/* SPDX-License-Identifier: MIT */
/*
 * docker — what a request means to the Engine.
 *
 * The catalogue (docker/endpoints.def) has one row per endpoint of the Engine
 * API. docker_route() brings a target into its one canonical spelling, walks
 * its segments through the catalogue and says which operation it is. What was
 * routed is what is sent: the canonical path is written into the request that
 * goes to the Engine, so that its router cannot understand another one.
 *
 * Pure: no descriptor, no clock, no memory of its own.
 */
#ifndef DOCKER_DOCKER_H
#define DOCKER_DOCKER_H

#include "base/check.h"
#include "base/slice.h"
#include "base/text.h"

/* ── The catalogue ───────────────────────────────────────────────────────── */

/* Parts of the API as the first segment names them; docker/sections.def. */
enum docker_section {
#define SECTION(name, segment, variable, on) DOCKER_SECTION_##name,
#include "docker/sections.def"
#undef SECTION
	DOCKER_SECTION_COUNT,
	DOCKER_SECTION_NONE = DOCKER_SECTION_COUNT, /* the first segment names none */
};

/* Methods that a policy tells apart; docker/methods.def. */
enum docker_method {
#define METHOD(name) DOCKER_METHOD_##name,
#include "docker/methods.def"
#undef METHOD
	DOCKER_METHOD_OTHER, /* none of them; no row of the catalogue has it */
};

/* The case counts (RFC 9110 section 9.1). */
enum docker_method docker_method_of(struct slice name);
/* "GET"; "OTHER" of DOCKER_METHOD_OTHER. */
const char *docker_method_name(enum docker_method method);

/* What an operation is; flags, because most are several. */
enum docker_trait {
	DOCKER_READ = 1 << 0,    /* changes nothing */
	DOCKER_WRITE = 1 << 1,   /* changes something, or makes the Engine do something */
	DOCKER_LEAK = 1 << 2,    /* its response may hold secrets or the contents of files */
	DOCKER_STREAM = 1 << 3,  /* its response may be endless or take long */
	DOCKER_ATTACH = 1 << 4,  /* reads no body; the response is 101, or 200 and a raw stream */
	DOCKER_EXEC = 1 << 5,    /* reads a JSON body; responds as to attach, or ordinarily */
	DOCKER_UPGRADE = 1 << 6, /* 101 or an ordinary response: attach/ws, session, grpc */
	DOCKER_JSON = 1 << 7,    /* its body is JSON */
	DOCKER_TAR = 1 << 8,     /* its body is a tar archive */
	DOCKER_FAR = 1 << 9,     /* makes the Engine contact another machine */
	DOCKER_ROOT = 1 << 10,   /* a client that may send any such request is root on the host */
	DOCKER_HIJACK = DOCKER_ATTACH | DOCKER_EXEC | DOCKER_UPGRADE,
};

struct docker_endpoint {
	const char *operation; /* noun.verb: "container.inspect" */
	const char *method;
	const char *path;  /* "/containers/{id}/json"; "{name...}" may hold slashes */
	const char *query; /* key that must have a value for this row to fit; NULL: none */
	enum docker_section section;
	unsigned traits;
	unsigned since;  /* API version, 100 * major + minor; 0: before 1.12, or podman's */
	unsigned before; /* a version below this one must be there; 0: need not */
	bool body;       /* a body must be there */
	/*
	 * Keys of the query that say what it is about, for the log; NULL: there is
	 * none. What they hold must be no secret.
	 */
	const char *name;
	const char *image;
	const char *tag; /* of the image, where it is a key of its own */
};

/*
 * A request is told apart by one number, its id: the row of the catalogue
 * below docker_endpoint_count; above it what no row fits, by section and by
 * the kind of its method (GET and HEAD; OPTIONS, which the Engine serves on
 * any path; others), so that a table of docker_id_count() entries can hold a
 * decision for every request there is. Several rows may belong to one
 * operation (HEAD and GET of /_ping).
 */
extern const unsigned docker_endpoint_count;
unsigned docker_id_count(void);
/* NULL for what no row fits. */
const struct docker_endpoint *docker_endpoint(unsigned id);
/* Whether the Engine may serve a decoded path without an API version by the row, whatever the
 * method. */
bool docker_has_path(unsigned id, struct slice path);
/* "container.inspect"; of what no row fits "system.options" or "unknown". */
const char *docker_operation_name(unsigned id);
/* DOCKER_SECTION_NONE where there is none. */
enum docker_section docker_id_section(unsigned id);
/* Whether it has no operation: no row fits, and OPTIONS is not asked. */
bool docker_id_is_unknown(unsigned id);
/* Whether the method is GET or HEAD. */
bool docker_id_is_read_method(unsigned id);

/* "CONTAINERS", "LIBPOD_CONTAINERS": the switch that opens the section. */
const char *docker_section_variable(enum docker_section section);
/* "containers", "libpod/containers": how its paths begin. */
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
	uint16_t major; /* 0: the path names none, which is the Engine's newest */
	uint16_t minor;
	uint16_t patch;
	uint16_t parts; /* how many of the three the path has */
};

/* What is to be routed; slices of the request. */
struct docker_target {
	struct slice method;
	struct slice path;  /* as sent, up to the query; "*" with OPTIONS */
	struct slice query; /* behind the question mark; ptr NULL: none */
	bool has_body;      /* a body is announced, of whatever length but 0 */
};

struct docker_request {
	unsigned id; /* see above */
	/*
	 * Where no row fits: the row by which the Engine's router serves it all the
	 * same, for it lets every name hold slashes (/containers/app/db/logs: with
	 * links, app/db is a container) and takes any method below /debug. What is
	 * allowed must be allowed as both.
	 * Otherwise the id again.
	 */
	unsigned served_id;
	struct slice method; /* of the target: rules for what no row fits ask for it */
	struct docker_version version;
	struct slice path; /* canonical and encoded, version included: what is forwarded */
	struct slice bare; /* decoded, version removed: what path rules see */
	struct slice name; /* decoded value of the row's first parameter; ptr NULL: none */
	/* Memory of the slices; of a path that came in its canonical spelling they are
	 * parts of the target instead. Not to be copied, nor zeroed. */
	char encoded[DOCKER_PATH_MAX];
	char decoded[DOCKER_PATH_MAX];
};

/*
 * Route `target`. DOCKER_OK, or why it must not be forwarded to any Engine:
 * broken escapes, a hidden slash, dot segments and what else two readers could
 * understand in two ways.
 */
enum docker_error docker_route(
        const struct docker_target *target, struct docker_request *ret_request) MUST_USE;

/*
 * The path that the Engine gets, decoded, with the API version in its shortest spelling:
 * "/v1.41/containers/a b/json". `memory` is written to where the request has no such bytes.
 */
struct slice docker_versioned_path(
        const struct docker_request *request, char memory[DOCKER_PATH_MAX]) MUST_USE;

/*
 * What the query of a routed request names: "web", "alpine:3.19". Nothing is
 * written where the row has no such key. Letters, digits and -._~/:@ are decoded, all else is
 * written as %XX; what does not fit is cut, and text->overflow set.
 */
void docker_add_name(unsigned id, struct slice query, struct text *text);
void docker_add_image(unsigned id, struct slice query, struct text *text);

/* Whether a Content-Type says that a 200 on attach or exec start is a raw stream. */
bool docker_is_raw_stream(struct slice content_type);

#endif
