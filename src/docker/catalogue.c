/* SPDX-License-Identifier: MIT */
#include "docker/catalogue.h"

/* ── Methods ─────────────────────────────────────────────────────────────── */

static const struct slice method_names[] = {
#define METHOD(name) [DOCKER_METHOD_##name] = SLICE_INIT(#name),
#include "docker/methods.def"
#undef METHOD
        [DOCKER_METHOD_OTHER] = SLICE_INIT("OTHER"),
};

enum docker_method docker_method_of(struct slice name)
{
	unsigned method = 0;

	while (method < DOCKER_METHOD_OTHER && !slice_equal(method_names[method], name)) {
		method++;
	}
	return (enum docker_method)method;
}

const char *docker_method_name(enum docker_method method)
{
	return method_names[method].ptr;
}

/* ── Endpoints ───────────────────────────────────────────────────────────── */

/* The words of endpoints.def. */
enum {
	READ = DOCKER_READ,
	WRITE = DOCKER_WRITE,
	LEAK = DOCKER_LEAK,
	STREAM = DOCKER_STREAM,
	ATTACH = DOCKER_ATTACH,
	EXEC = DOCKER_EXEC,
	UPGRADE = DOCKER_UPGRADE,
	JSON = DOCKER_JSON,
	TAR = DOCKER_TAR,
	FAR = DOCKER_FAR,
	ROOT = DOCKER_ROOT,
	BUILD = DOCKER_BUILD,
};

/* Each row has the number of its place. */
enum {
#define GROUP(section)                   FIRST_OF_##section, BEFORE_FIRST_OF_##section = FIRST_OF_##section - 1,
#define ENDPOINT(operation, method, ...) ROW(__LINE__),
#define ROW(line)                        ROW_OF(line)
#define ROW_OF(line)                     ROW_OF_LINE_##line
#include "docker/endpoints.def"
#undef GROUP
#undef ENDPOINT
	ENDPOINT_COUNT,
};

const unsigned docker_endpoint_count = ENDPOINT_COUNT;

static const struct docker_endpoint endpoints[ENDPOINT_COUNT] = {
#define GROUP(section)
#define ENDPOINT(operation_, method_, section_, path_, since_, traits_, ...)                       \
	{.operation = (operation_),                                                                \
	        .method = #method_,                                                                \
	        .path = (path_),                                                                   \
	        .section = DOCKER_SECTION_##section_,                                              \
	        .traits = (traits_),                                                               \
	        .since = (since_),                                                                 \
	        __VA_ARGS__},
#include "docker/endpoints.def"
#undef GROUP
#undef ENDPOINT
};

const struct catalogue_key catalogue_keys[ENDPOINT_COUNT + 1] = {
#define GROUP(section)
#define ENDPOINT(operation, method, section, path, ...)                                            \
	{(path) + sizeof(path) - 1 - CATALOGUE_TAIL, DOCKER_METHOD_##method,                       \
	        DOCKER_SECTION_##section},
#include "docker/endpoints.def"
#undef GROUP
#undef ENDPOINT
        [ENDPOINT_COUNT] = {"", DOCKER_METHOD_OTHER, DOCKER_SECTION_COUNT + 1},
};

static const uint16_t groups[DOCKER_SECTION_COUNT + 1] = {
#define GROUP(section) [DOCKER_SECTION_##section] = FIRST_OF_##section,
#define ENDPOINT(operation, method, ...)
#include "docker/endpoints.def"
#undef GROUP
#undef ENDPOINT
};

unsigned catalogue_group(enum docker_section section)
{
	return groups[section];
}

const struct docker_endpoint *docker_endpoint(unsigned id)
{
	return id < ENDPOINT_COUNT ? &endpoints[id] : NULL;
}

/* ── Sections ────────────────────────────────────────────────────────────── */

static const struct {
	struct slice segment;
	const char *variable;
} sections[DOCKER_SECTION_COUNT] = {
#define SECTION(name, segment, variable, on)                                                       \
	[DOCKER_SECTION_##name] = {SLICE_INIT(segment), variable},
#include "docker/sections.def"
#undef SECTION
};

enum docker_section catalogue_section(struct slice segment)
{
	for (unsigned i = 0; i < DOCKER_SECTION_COUNT; i++) {
		if (slice_equal(sections[i].segment, segment)) {
			return (enum docker_section)i;
		}
	}
	return DOCKER_SECTION_NONE;
}

const char *docker_section_variable(enum docker_section section)
{
	ASSERT(section < DOCKER_SECTION_COUNT);
	return sections[section].variable;
}

struct slice docker_section_segment(enum docker_section section)
{
	ASSERT(section < DOCKER_SECTION_COUNT);
	return sections[section].segment;
}

/* ── What no row fits ────────────────────────────────────────────────────── */

enum kind {
	KIND_READ, /* GET and HEAD */
	KIND_OPTIONS,
	KIND_OTHER,
	KIND_COUNT,
};

enum { SECTIONS_AND_NONE = DOCKER_SECTION_COUNT + 1 };

static enum kind kind_of(enum docker_method method)
{
	if (method == DOCKER_METHOD_GET || method == DOCKER_METHOD_HEAD) {
		return KIND_READ;
	}
	return method == DOCKER_METHOD_OPTIONS ? KIND_OPTIONS : KIND_OTHER;
}

unsigned catalogue_unknown(enum docker_section section, enum docker_method method)
{
	return ENDPOINT_COUNT + kind_of(method) * SECTIONS_AND_NONE + section;
}

unsigned docker_id_count(void)
{
	return ENDPOINT_COUNT + KIND_COUNT * SECTIONS_AND_NONE;
}

static enum kind id_kind(unsigned id)
{
	return id < ENDPOINT_COUNT ? kind_of((enum docker_method)catalogue_keys[id].method)
	                           : (enum kind)((id - ENDPOINT_COUNT) / SECTIONS_AND_NONE);
}

enum docker_section docker_id_section(unsigned id)
{
	return id < ENDPOINT_COUNT
	               ? endpoints[id].section
	               : (enum docker_section)((id - ENDPOINT_COUNT) % SECTIONS_AND_NONE);
}

bool docker_id_is_read_method(unsigned id)
{
	return id_kind(id) == KIND_READ;
}

bool docker_id_is_unknown(unsigned id)
{
	return id >= ENDPOINT_COUNT && id_kind(id) != KIND_OPTIONS;
}

const char *docker_operation_name(unsigned id)
{
	if (id < ENDPOINT_COUNT) {
		return endpoints[id].operation;
	}
	return docker_id_is_unknown(id) ? "unknown" : "system.options";
}

/* ── Words ───────────────────────────────────────────────────────────────── */

static const char *const error_texts[] = {
        [DOCKER_OK] = "no error",
#define DOCKER_ERROR(name, text) [DOCKER_BAD_##name] = (text),
#include "docker/errors.def"
#undef DOCKER_ERROR
};

const char *docker_error_text(enum docker_error error)
{
	return error_texts[error];
}

bool docker_is_raw_stream(struct slice content_type)
{
	return slice_equal(content_type, SLICE("application/vnd.docker.raw-stream")) ||
	       slice_equal(content_type, SLICE("application/vnd.docker.multiplexed-stream"));
}
