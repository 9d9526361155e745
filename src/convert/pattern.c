/* SPDX-License-Identifier: MIT */
#include "convert/pattern.h"

#include "base/text.h"

static const char unlike[] = "Go and PCRE2 do not read its escapes alike";

/* Each of these functions moves `*at` behind one construct; NULL, or why Go and PCRE2 differ. */

static const char *skip(const char **at, size_t len)
{
	*at += strnlen(*at, len);
	return NULL;
}

static const char *skip_escape(const char **at, struct pattern_traits *traits)
{
	const char c = (*at)[1];

	if (c == 'x' && (*at)[2] >= '0' && (*at)[2] <= '7') {
		return skip(at, 4);
	}
	if (ascii_is_alnum(c) && strchr("dDsSwWbBAz", c) == NULL) {
		return unlike;
	}
	traits->backslash = traits->backslash || c == '\\';
	return skip(at, 2);
}

static const char *skip_class(const char **at, struct pattern_traits *traits)
{
	const char *problem = skip(at, (*at)[1] == '^' ? 2 : 1);

	while (problem == NULL && **at == ']') {
		problem = skip(at, 1); /* the first is a member */
		break;
	}
	while (problem == NULL && **at != ']' && **at != '\0') {
		const char *end = strncmp(*at, "[:", 2) == 0 ? strstr(*at, ":]") : NULL;
		problem = **at == '\\' ? skip_escape(at, traits)
		                       : skip(at, end != NULL ? (size_t)(end - *at) + 2 : 1);
	}
	return problem != NULL ? problem : skip(at, 1);
}

/* "(", "(?:", "(?i)", "(?i:", "(?P<name>", "(?<name>"; a group that stays open adds to the depth.
 */
static const char *skip_open(const char **at, unsigned *depth)
{
	static const char letters[] =
	        "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = 1;

	if ((*at)[1] == '?') {
		const size_t name = (*at)[2] == 'P' ? 3 : 2;
		len = 2 + strspn(*at + 2, "imsU-");
		if (len == 2 && (*at)[name] == '<') {
			len = name + 1 + strspn(*at + name + 1, letters);
			len += (*at)[len] == '>' && len > name + 1 ? 0 : strlen(*at + len);
		} else if ((*at)[len] != ':' && (*at)[len] != ')') {
			len += strlen(*at + len);
		}
		*depth -= (*at)[len] == ')';
		len++;
	}
	if ((*at)[1] == '*' || len > strlen(*at)) {
		return "Go knows no such group";
	}
	++*depth;
	return skip(at, len);
}

/* The length of "?", "*", "+" or "{2,3}"; 0: it is not a repetition. */
static size_t repeat_len(const char *s)
{
	const size_t digits = s[0] == '{' ? strspn(s + 1, "0123456789,") : 0;

	if (digits > 0 && s[digits + 1] == '}') {
		return digits + 2;
	}
	return s[0] == '?' || s[0] == '*' || s[0] == '+';
}

static const char *skip_repeat(const char **at, size_t len)
{
	return (*at)[len] == '+' || (*at)[1] == ',' ? "Go knows no such repetition" : skip(at, len);
}

const char *pattern_read(const char *expression, struct pattern_traits *ret_traits)
{
	const char *at = expression;
	const char *problem = NULL;
	unsigned depth = 0;

	*ret_traits = (struct pattern_traits){false, false};
	while (problem == NULL && *at != '\0') {
		const size_t repeat = repeat_len(at);
		if (repeat > 0) {
			problem = skip_repeat(&at, repeat);
		} else if (*at == '\\') {
			problem = skip_escape(&at, ret_traits);
		} else if (*at == '[') {
			problem = skip_class(&at, ret_traits);
		} else if (*at == '(') {
			problem = skip_open(&at, &depth);
		} else {
			depth -= *at == ')' && depth > 0;
			ret_traits->ungrouped = ret_traits->ungrouped || (*at == '|' && depth == 0);
			problem = skip(&at, 1);
		}
	}
	return problem;
}

/* ── The version ─────────────────────────────────────────────────────────── */

/* The length of an expression that fits only the number of a version, "1\.[0-9]+"; 0: it may fit
 * more. */
static size_t number_len(const char *s)
{
	static const char further[] = "(?:\\.[0-9]+)*";
	size_t len = strspn(s, "0123456789\\d.[]{},?+*-");

	len += strncmp(s + len, further, strlen(further)) == 0 ? strlen(further) : 0;
	const bool any = memmem(s, len, ".*", 2) != NULL || memmem(s, len, ".+", 2) != NULL ||
	                 memmem(s, len, "\\\\", 2) != NULL;
	return any || s[0] == '.' || s[0] == 'd' ? 0 : len;
}

/* The length of "/v1\.41" before "/", "(" or ")", or of "v1\.41/" behind "/("; 0: no version. */
static size_t version_len(const char *s, struct slice before)
{
	const bool inside =
	        slice_ends_with(before, SLICE("/(")) || slice_ends_with(before, SLICE("/(?:"));
	const size_t v = inside ? 1 : 2;
	const size_t len = strncmp(s, inside ? "v" : "/v", v) == 0 ? number_len(s + v) : 0;
	const char next = s[v + len];

	if (len == 0 || (inside && next != '/') ||
	        (!inside && next != '/' && next != '(' && next != ')')) {
		return 0;
	}
	return v + len + inside;
}

/* Whether an alternative begins here. */
static bool is_front(struct slice before)
{
	return before.len == 0 || slice_ends_with(before, SLICE("|")) ||
	       slice_ends_with(before, SLICE("(")) || slice_ends_with(before, SLICE("(?:"));
}

/* The copy of an expression without versions. */
struct copier {
	const char *at;
	struct text text;
	unsigned depth;
	unsigned cut; /* depth, from 1, of the alternative whose version is removed; 0: none */
};

/* Copy one byte, or the two bytes of an escape. */
static void copy_one(struct copier *copier)
{
	const char c = *copier->at;

	copier->depth += c == '(';
	copier->depth -= c == ')' && copier->depth > 0;
	if (c == '|' && copier->depth < copier->cut) {
		copier->cut = 0;
	}
	for (unsigned i = 0; *copier->at != '\0' && i < (c == '\\' ? 2 : 1); i++) {
		text_add_char(&copier->text, *copier->at++);
	}
}

/* Skip a version of `len` bytes, and remove the group around it if the group is empty now. */
static void cut_version(struct copier *copier, size_t len)
{
	const struct slice before = text_slice(&copier->text);
	const size_t open = slice_ends_with(before, SLICE("(?:")) ? 3
	                    : slice_ends_with(before, SLICE("(")) ? 1
	                                                          : 0;

	copier->at += len;
	if (open > 0 && *copier->at == ')') {
		copier->text.len -= open;
		copier->at += copier->at[1] == '?' ? 2 : 1;
		copier->depth--;
	}
	copier->cut = copier->depth + 1;
}

const char *pattern_without_version(struct arena *arena, const char *expression)
{
	const size_t size = strlen(expression) + 1;
	char *memory = check_memory(arena_take(arena, size));
	struct copier copier = {.at = expression, .text = text_over(memory, size - 1)};

	while (*copier.at != '\0') {
		const bool front = copier.cut == 0 && is_front(text_slice(&copier.text));
		copier.at += front && *copier.at == '^';
		const size_t len = front ? version_len(copier.at, text_slice(&copier.text)) : 0;
		if (len > 0) {
			cut_version(&copier, len);
		} else {
			copy_one(&copier);
		}
	}
	memory[copier.text.len] = '\0';
	return memory;
}
