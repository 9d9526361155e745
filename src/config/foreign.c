/* SPDX-License-Identifier: MIT */
/*
 * Variables of the environment that this program does not read, but that are set to
 * restrict it: variables of other proxies, and misspelt ones. Such a variable must not
 * leave everything open.
 */
#include "base/nearest.h"
#include "config/options.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* What a variable was to decide. */
enum matter {
	MATTER_NONE,
	MATTER_POLICY,  /* what clients may do */
	MATTER_ADDRESS, /* where they connect */
	MATTER_FILES,   /* where the host's files are seen */
	MATTER_KEYS,    /* which keys clients present */
	MATTER_DEMAND,  /* something without which there is no serving */
};

struct foreign {
	struct slice pattern;
	enum matter matter;
	const char *words; /* NULL: what was meant says it */
	const char *meant; /* a variable of an option; NULL: none alone */
};

static const struct foreign rows[] = {
#define FOREIGN(text, about, advice) {SLICE_INIT(text), MATTER_##about, advice, NULL},
#define LIKE(text, variable)         {SLICE_INIT(text), MATTER_NONE, NULL, variable},
#include "config/foreign.def"
#undef FOREIGN
#undef LIKE
};

/* A variable that is set and not read. */
struct slip {
	struct slice name;
	struct slice value;
	const struct foreign *row; /* NULL: it is like another name, or has no value */
	struct slice meant;        /* empty: no name that is still free is like it */
	enum matter matter;
	bool certain; /* beside other switches, too, it can be nothing else, or was to close */
};

/* ── Names ───────────────────────────────────────────────────────────────── */

static bool is_section(struct slice name)
{
	const unsigned number = switches_find(name);

	return number < SWITCHES_COUNT && switches_row(number)->kind == SWITCH_SECTION;
}

static bool is_switch(struct slice name)
{
	return switches_find(name) < SWITCHES_COUNT;
}

static bool fits(struct slice pattern, struct slice name)
{
	const struct slice front = {pattern.ptr, pattern.len - 1};
	const struct slice back = {pattern.ptr + 1, pattern.len - 1};
	const size_t rest = name.len > front.len ? name.len - front.len : 0;

	if (pattern.ptr[0] == '%') {
		return slice_equal((struct slice){name.ptr + rest, name.len - rest}, back) &&
		       is_switch((struct slice){name.ptr, rest});
	}
	switch (pattern.ptr[pattern.len - 1]) {
	case '%':
		return slice_starts_with(name, front) &&
		       is_switch((struct slice){name.ptr + front.len, rest});
	case '*':
		return slice_starts_with(name, front);
	default:
		return slice_equal(pattern, name);
	}
}

static const struct foreign *find_row(struct slice name)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (fits(rows[i].pattern, name)) {
			return &rows[i];
		}
	}
	return NULL;
}

static const struct config_option *find_option(struct slice variable)
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		if (slice_equal(variable, slice_of(config_options[i].variable))) {
			return &config_options[i];
		}
	}
	return NULL;
}

static enum matter matter_of(const struct config_option *option)
{
	ASSERT(option != NULL); /* each row of foreign.def names an option */
	switch (option->member) {
	case offsetof(struct config, file):
	case offsetof(struct config, policy_name):
	case offsetof(struct config, allow):
		return MATTER_POLICY;
	case offsetof(struct config, listeners):
	case offsetof(struct config, loopback_only):
		return MATTER_ADDRESS;
	case offsetof(struct config, host_root):
		return MATTER_FILES;
	case offsetof(struct config, tls_cert):
	case offsetof(struct config, tls_key):
	case offsetof(struct config, tls_client_ca):
		return MATTER_DEMAND;
	case offsetof(struct config, keys_file):
		return MATTER_KEYS;
	default:
		return MATTER_NONE;
	}
}

/* A variable that is set already is not suggested. */
static bool is_free(const struct config_option *option)
{
	const char *value = getenv(option->variable);

	return value == NULL || value[0] == '\0';
}

/* `slip` is about what `option` is about, which was meant unless it is set. */
static void set_meant(struct slip *slip, const struct config_option *option)
{
	slip->matter = matter_of(option);
	slip->meant = is_free(option) ? slice_of(option->variable) : (struct slice){NULL, 0};
}

/* ── Likeness ────────────────────────────────────────────────────────────── */

/* What the names of switches begin with: what follows is compared. */
static const struct slice prefixes[] = {
        SLICE_INIT("LIBPOD_ALLOW_POD_"),
        SLICE_INIT("LIBPOD_ALLOW_"),
        SLICE_INIT("LIBPOD_"),
        SLICE_INIT("ALLOW_"),
        SLICE_INIT(""),
};
enum { NO_PREFIX = ARRAY_LEN(prefixes) - 1 };

static unsigned skip_prefix(struct slice *name)
{
	unsigned prefix = 0;

	while (!slice_skip(name, prefixes[prefix])) {
		prefix++;
	}
	return prefix;
}

/* A search for the name that was meant. */
struct search {
	unsigned prefix;
	struct nearest stem;
	struct slice best; /* the whole name whose stem is the nearest */
};

static void search_try(struct search *search, const char *variable, bool any_prefix)
{
	const struct slice name = slice_of(variable);
	struct slice stem = name;

	if (skip_prefix(&stem) == search->prefix || any_prefix ||
	        slice_equal(stem, search->stem.word)) {
		const unsigned before = search->stem.least;
		nearest_try(&search->stem, stem);
		search->best = search->stem.least < before ? name : search->best;
	}
}

/* The switch that `name` is in other letters, or with a prefix: ALLOW_SECRETS; else SWITCHES_COUNT.
 */
static unsigned named_switch(struct slice name)
{
	const unsigned exact = switches_find(name);

	(void)skip_prefix(&name);
	return exact == SWITCHES_COUNT && is_section(name) ? switches_find(name) : exact;
}

/* The switch that `name` is like; of those alone that are not set where only a free one helps. */
static struct slice like_switch(const struct reader *reader, struct slice name, bool free)
{
	const struct switches *set = &reader->config->switches;
	const unsigned named = named_switch(name);
	struct search search = {.prefix = skip_prefix(&name)};
	const unsigned passes = search.prefix != NO_PREFIX ? 2 : 1;

	if (named < SWITCHES_COUNT) {
		return free && set->values[named] != SWITCH_UNSET
		               ? (struct slice){NULL, 0}
		               : slice_of(switches_row(named)->variable);
	}
	search.stem = nearest_to(name);
	for (unsigned i = 0; free && search.prefix == NO_PREFIX && i < CONFIG_OPTION_COUNT; i++) {
		if (is_free(&config_options[i])) {
			search_try(&search, config_options[i].variable, false);
		}
	}
	/* ALLOW_IMAGE is rather a misspelt IMAGES than nothing. */
	for (unsigned any = 0; any < passes && (any == 0 || search.best.len == 0); any++) {
		for (unsigned number = 0; number < SWITCHES_COUNT; number++) {
			if (!free || set->values[number] == SWITCH_UNSET) {
				search_try(&search, switches_row(number)->variable, any == 1);
			}
		}
	}
	return search.best;
}

/* How many letters of a name may be wrong: HOST_PORT, which others may set, is like HOST_ROOT. */
static unsigned accepted_changes(const struct config_option *option)
{
	return matter_of(option) == MATTER_FILES ? 1 : UINT_MAX;
}

/* The option that `name` is like, among those that restrict. */
static const struct config_option *like_option(struct slice name)
{
	const struct config_option *best = NULL;
	struct nearest nearest = nearest_to(name);

	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		struct nearest tried = nearest;
		if (option->type == OPTION_BIND || matter_of(option) == MATTER_NONE) {
			continue;
		}
		nearest_try(&tried, slice_of(option->variable));
		if (tried.least < nearest.least && tried.least <= accepted_changes(option)) {
			nearest = tried;
			best = option;
		}
	}
	return best;
}

/*
 * What is like a switch is suspicious with a switch's value; what begins as switches do and what is
 * like POLICY, with any.
 */
static bool is_like(const struct reader *reader, struct slice name, struct slip *slip)
{
	const struct config_option *option = like_option(name);
	enum switch_value value = SWITCH_ON;
	struct slice stem = name;
	const bool prefixed = skip_prefix(&stem) != NO_PREFIX;

	const bool switches = switches_read_value(slip->value, &value);
	if (prefixed || (switches && like_switch(reader, name, false).len > 0)) {
		slip->matter = MATTER_POLICY;
		slip->meant = like_switch(reader, name, true);
		slip->certain = prefixed || value == SWITCH_OFF;
		return true;
	}
	if (option != NULL) {
		set_meant(slip, option);
		return true;
	}
	return false;
}

/* ── The environment ─────────────────────────────────────────────────────── */

/* In upper case, as variables are; as it is when it is too long to be like anything. */
static struct slice normalize(struct slice name, char memory[NEAREST_LEN_MAX])
{
	for (size_t i = 0; i < name.len && name.len <= NEAREST_LEN_MAX; i++) {
		const char c = name.ptr[i];
		memory[i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	return name.len <= NEAREST_LEN_MAX ? (struct slice){memory, name.len} : name;
}

/* Whether `variable`, NAME=value, is set to restrict, and does not. */
static bool is_slip(const struct reader *reader, const char *variable, struct slip *ret_slip)
{
	char memory[NEAREST_LEN_MAX];
	struct slice value = slice_of(variable);
	struct slice name;

	if (!slice_next(&value, '=', &name) || switches_is_name(name)) {
		return false;
	}
	*ret_slip = (struct slip){.name = name, .value = value};
	const struct config_option *option = find_option(name);
	if (option != NULL) {
		ret_slip->matter = value.len == 0 ? matter_of(option) : MATTER_NONE;
		return ret_slip->matter != MATTER_NONE;
	}
	const struct slice upper = normalize(name, memory);
	ret_slip->row = find_row(upper);
	if (ret_slip->row == NULL) {
		return is_like(reader, upper, ret_slip);
	}
	if (ret_slip->row->meant != NULL) {
		set_meant(ret_slip, find_option(slice_of(ret_slip->row->meant)));
	} else {
		ret_slip->matter = ret_slip->row->matter;
	}
	return true;
}

/* Whether something else decides what the variable was to decide. */
static bool is_settled(const struct config *config, enum matter matter)
{
	if (matter == MATTER_POLICY) {
		return config->verb == CONFIG_LEARN || config->file != NULL ||
		       config->policy_name != NULL || config->allow != NULL;
	}
	if (matter == MATTER_ADDRESS) {
		return config->listener_count > 0 || config->loopback_only;
	}
	if (matter == MATTER_KEYS) {
		return config->keys_file != NULL;
	}
	return matter == MATTER_NONE || (matter == MATTER_FILES && config->host_root != NULL);
}

static bool stops(const struct config *config, const struct slip *slip)
{
	const bool beside_switches = config->switch_name != NULL;

	return !is_settled(config, slip->matter) ||
	       (slip->matter == MATTER_POLICY && beside_switches && slip->certain);
}

/* ── What is said ────────────────────────────────────────────────────────── */

enum { SLIPS_MAX = 64, VALUE_SHOWN_MAX = 64 };

struct slips {
	struct slip slips[SLIPS_MAX];
	unsigned count;
};

static void add_name(struct text *text, const struct slip *slip)
{
	const bool whole = slip->row == NULL || slice_equal(slip->row->pattern, slip->name);

	text_add_format(text, "%s", text_show(slip->name).text);
	if (whole && slip->value.len > 0) {
		text_add_format(text, "=%.*s", VALUE_SHOWN_MAX, text_show(slip->value).text);
	}
}

static bool is_same_sentence(const struct slip *a, const struct slip *b)
{
	const char *words[2] = {
	        a->row != NULL ? a->row->words : NULL, b->row != NULL ? b->row->words : NULL};

	return words[0] != NULL && words[1] != NULL && strcmp(words[0], words[1]) == 0;
}

/* The sentence of slip `i` and of those behind it that have the same. */
static void describe(const struct slips *slips, unsigned i, struct text *text)
{
	const struct slip *slip = &slips->slips[i];

	add_name(text, slip);
	for (unsigned j = i + 1; j < slips->count; j++) {
		if (is_same_sentence(slip, &slips->slips[j])) {
			text_add_format(text, ", ");
			add_name(text, &slips->slips[j]);
		}
	}
	if (slip->row != NULL && slip->row->words != NULL) {
		text_add_format(text, ": %s", slip->row->words);
	} else if (slip->value.len == 0 && find_option(slip->name) != NULL) {
		text_add_format(text, " is empty%s",
		        slip->matter == MATTER_DEMAND ? ": set it, or unset it" : "");
	} else if (slip->meant.len > 0) {
		text_add_format(text, ": there is no such variable; did you mean %.*s?",
		        SLICE_FMT(slip->meant));
	} else {
		text_add_format(text, ": there is no such variable; --help lists the variables");
	}
}

/* Whether the sentence of an earlier slip names this one too. */
static bool is_said(const struct slips *slips, unsigned i)
{
	for (unsigned j = 0; j < i; j++) {
		if (is_same_sentence(&slips->slips[i], &slips->slips[j])) {
			return true;
		}
	}
	return false;
}

static void add_remedy(const struct config *config, const struct slips *slips, struct text *text)
{
	bool open[MATTER_DEMAND + 1] = {false};

	for (unsigned i = 0; i < slips->count; i++) {
		const enum matter matter = slips->slips[i].matter;
		open[matter] = open[matter] || !is_settled(config, matter);
	}
	if (open[MATTER_POLICY]) {
		text_add_format(text, " Nothing else says what clients may do: set POLICY (open "
		                      "allows everything), a section switch or CONFIG.");
	}
	if (open[MATTER_FILES]) {
		text_add_format(text, " Nothing else says where the proxy sees the host's files: "
		                      "set HOST_ROOT (/host), or unset it.");
	}
	if (open[MATTER_KEYS]) {
		text_add_format(text, " Nothing else says which keys clients must present: set "
		                      "CLIENT_KEYS_FILE, or unset it.");
	}
	if (open[MATTER_ADDRESS]) {
		text_add_format(text, " Nothing else says where to listen: set LISTEN "
		                      "(tcp://*:3277, if all interfaces are meant).");
	}
}

static int refuse(struct reader *reader, const struct slips *slips)
{
	char memory[FAULT_MAX - sizeof("...")];
	struct text text = text_over(memory, sizeof(memory));

	for (unsigned i = 0; i < slips->count; i++) {
		if (!is_said(slips, i)) {
			text_add(&text, text.len > 0 ? SLICE(" ") : SLICE(""));
			describe(slips, i, &text);
			text_add(&text, memory[text.len - 1] == '?' ? SLICE("") : SLICE("."));
		}
	}
	add_remedy(reader->config, slips, &text);
	text.len -= memory[text.len - 1] == '.'; /* as all faults */
	return fault_set(reader->error, NOWHERE, "%.*s%s", SLICE_FMT(text_slice(&text)),
	        text.overflow ? "..." : "");
}

static void warn(struct reader *reader, const struct slips *slips)
{
	char memory[CONFIG_WARNING_MAX];

	for (unsigned i = 0; i < slips->count; i++) {
		struct text text = text_over(memory, sizeof(memory));
		if (!is_said(slips, i)) {
			describe(slips, i, &text);
			config_warn(reader->config, "%.*s", SLICE_FMT(text_slice(&text)));
		}
	}
}

int config_check_environment(struct reader *reader)
{
	struct slips stopping = {.count = 0};
	struct slips harmless = {.count = 0};
	struct slip slip;

	if (reader->config->verb == CONFIG_HEALTHCHECK) {
		return 0;
	}
	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		if (!is_slip(reader, *variable, &slip)) {
			continue;
		}
		struct slips *slips = stops(reader->config, &slip) ? &stopping : &harmless;
		/* An empty option is nothing to warn of where something else decides. */
		if (slips->count < SLIPS_MAX &&
		        (slips == &stopping || find_option(slip.name) == NULL)) {
			slips->slips[slips->count++] = slip;
		}
	}
	warn(reader, &harmless);
	return stopping.count > 0 ? refuse(reader, &stopping) : 0;
}
