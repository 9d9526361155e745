/* SPDX-License-Identifier: MIT */
#include "limits/limits.h"

#include "base/ascii.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

enum kind {
	KIND_COUNT,
	KIND_RATE,
	KIND_SIZE,
};

static const struct {
	const char *key;
	const char *remedy;
	enum kind kind;
	enum outcome outcome;
	bool total;
} rows[LIMIT_COUNT] = {
#define LIMIT(name, key, kind, total, outcome, remedy)                                             \
	[LIMIT_##name] = {key, remedy, KIND_##kind, OUTCOME_##outcome, total},
#include "limits/limits.def"
#undef LIMIT
};

/* ── Values ──────────────────────────────────────────────────────────────── */

/* "500". */
static bool read_count(struct slice text, struct limit_setting *setting, struct limits *limits)
{
	(void)limits;
	return slice_to_u64(text, LIMIT_COUNT_MAX, &setting->value) == 0;
}

/* "200/s", "30/m", "100/h". */
static bool read_rate(struct slice text, struct limit_setting *setting, struct limits *limits)
{
	static const struct {
		struct slice end;
		unsigned seconds;
	} periods[] = {{SLICE_INIT("/s"), 1}, {SLICE_INIT("/m"), 60}, {SLICE_INIT("/h"), 3600}};
	uint64_t count = 0;

	for (unsigned i = 0; i < ARRAY_LEN(periods); i++) {
		if (!slice_ends_with(text, periods[i].end)) {
			continue;
		}
		text.len -= periods[i].end.len;
		if (slice_to_u64(text, LIMIT_RATE_MAX, &count) < 0 || count == 0) {
			return false;
		}
		limits->period_ns = periods[i].seconds * NS_PER_S;
		setting->value = (uint64_t)limits->period_ns / count;
		return true;
	}
	return false;
}

/* "512", "64m", "16g", as the docker CLI takes sizes. */
static bool read_size(struct slice text, struct limit_setting *setting, struct limits *limits)
{
	static const char units[] = "bkmgt";
	const char last = text.len > 0 ? ascii_lower(text.ptr[text.len - 1]) : '\0';
	const char *unit = last == '\0' ? NULL : strchr(units, last);
	const unsigned shift = unit == NULL ? 0 : 10 * (unsigned)(unit - units);

	(void)limits;
	text.len -= unit != NULL;
	if (slice_to_u64(text, (uint64_t)INT64_MAX >> shift, &setting->value) < 0) {
		return false;
	}
	setting->value <<= shift;
	return true;
}

static const struct {
	bool (*read)(struct slice text, struct limit_setting *setting, struct limits *limits);
	struct yaml_shape shape;
} kinds[] = {
        [KIND_COUNT] = {read_count, {.words = "a whole number from 1 to 1000000, or none"}},
        [KIND_RATE] = {read_rate, {.words = "a number of requests from 1 to 1000000 in a second, "
                                            "a minute or an hour, such as 200/s, 600/m or 1000/h, "
                                            "or none"}},
        [KIND_SIZE] = {read_size,
                {.words = "a number of bytes above 0, such as 512m or 16g, or none"}},
};

/* ── Maps ────────────────────────────────────────────────────────────────── */

struct limits_reader {
	struct limits *limits;
	char *error;
	enum limits_whose whose;
};

static enum limit find(struct slice key)
{
	unsigned limit = 0;

	while (limit < LIMIT_COUNT && !slice_equal(slice_of(rows[limit].key), key)) {
		limit++;
	}
	return (enum limit)limit;
}

static int read_limit(void *context, const struct yaml_node *node)
{
	struct limits_reader *reader = context;
	const enum limit limit = find(node->key);
	struct limit_setting *setting = &reader->limits->of[limit];
	const enum kind kind = rows[limit].kind;

	if (reader->whose == LIMITS_TOTAL && !rows[limit].total) {
		return fault_set(reader->error, node->place, "'%s' is no limit of 'total'%s",
		        rows[limit].key,
		        limit == LIMIT_CONNECTIONS
		                ? ": --max-connections is that of all clients together"
		                : ": it is one of each request");
	}
	*setting = (struct limit_setting){.given = true, .text = node->text, .place = node->place};
	if (node->kind == YAML_TEXT && slice_equal(node->text, SLICE("none"))) {
		return 0;
	}
	if (node->kind == YAML_TEXT && kinds[kind].read(node->text, setting, reader->limits) &&
	        setting->value > 0) {
		return 0;
	}
	return fault_set(reader->error, node->place, "'%s' is %s; found %s", rows[limit].key,
	        kinds[kind].shape.words, yaml_found(node).text);
}

/* Where limits of all clients together are read by somebody else. */
static int skip(void *context, const struct yaml_node *node)
{
	(void)context, (void)node;
	return 0;
}

static const struct yaml_key entry_keys[] = {
#define LIMIT(name, key, kind, total, outcome, remedy) {key, read_limit, &kinds[KIND_##kind].shape},
#include "limits/limits.def"
#undef LIMIT
};
const struct yaml_shape limits_entry_shape = {
        YAML_KEYS(entry_keys), .words = "limits", .name = "limits_of_client"};
static const struct yaml_shape total_shape = {
        YAML_KEYS(entry_keys), .words = "total", .name = "limits_in_all"};

static const struct yaml_key each_keys[] = {
#define LIMIT(name, key, kind, total, outcome, remedy) {key, read_limit, &kinds[KIND_##kind].shape},
#include "limits/limits.def"
#undef LIMIT
        {"total", skip, &total_shape},
};
const struct yaml_shape limits_shape = {YAML_KEYS(each_keys), .words = "limits", .name = "limits"};

int limits_read_map(const struct yaml_node *map, enum limits_whose whose, struct limits *ret_limits,
        char error[FAULT_MAX])
{
	static const struct yaml_shape *const shapes[] = {
	        [LIMITS_EACH] = &limits_shape,
	        [LIMITS_ENTRY] = &limits_entry_shape,
	        [LIMITS_TOTAL] = &total_shape,
	};
	struct limits_reader reader = {ret_limits, error, whose};

	*ret_limits = (struct limits){.period_ns = 0};
	return yaml_read_map(map, shapes[whose], &reader, error);
}

void limits_inherit(struct limits *limits, const struct limits *others)
{
	for (unsigned i = 0; i < LIMIT_COUNT; i++) {
		if (limits->of[i].given) {
			continue;
		}
		limits->of[i] = others->of[i];
		if (i == LIMIT_RATE) {
			limits->period_ns = others->period_ns;
		}
	}
}

bool limits_any(const struct limits *limits)
{
	bool any = false;

	for (unsigned i = 0; limits != NULL && i < LIMIT_COUNT; i++) {
		any = any || limits->of[i].value > 0;
	}
	return any;
}

/* ── Saying them ─────────────────────────────────────────────────────────── */

const char *limit_key(enum limit limit)
{
	return rows[limit].key;
}

enum outcome limit_outcome(enum limit limit)
{
	return rows[limit].outcome;
}

void limits_add(const struct limits *limits, struct text *text)
{
	const char *separator = "";

	for (unsigned i = 0; limits != NULL && i < LIMIT_COUNT; i++) {
		if (limits->of[i].value > 0) {
			text_add_format(text, "%s%s %.*s", separator, rows[i].key,
			        SLICE_FMT(limits->of[i].text));
			separator = ", ";
		}
	}
	if (separator[0] == '\0') {
		text_add(text, SLICE("none"));
	}
}

void limit_add_refusal(
        const struct limits *limits, enum limit limit, struct slice who, struct text *text)
{
	const struct limit_setting *setting = &limits->of[limit];

	text_add_format(text, "%.*s reached the limit '%s: %.*s' (%.256s:%u): %s", SLICE_FMT(who),
	        rows[limit].key, SLICE_FMT(setting->text), setting->place.file, setting->place.line,
	        rows[limit].remedy);
}
