/* SPDX-License-Identifier: MIT */
#include "yaml/yaml.h"

#include "base/text.h"

#include <errno.h>
#include <yaml.h>

struct level {
	struct yaml_node *node; /* a list or a map */
	struct yaml_node **end; /* where the next child goes */
	struct slice key;       /* read, and waiting for its value; ptr NULL: none */
	struct place key_place;
	unsigned count;
};

struct builder {
	struct arena *arena;
	const char *file;
	char *error;
	struct yaml_node *root;
	struct level levels[YAML_DEPTH_MAX];
	unsigned depth;
	unsigned nodes;
	unsigned documents;
};

/* NULL: at the root. */
static struct level *innermost(struct builder *builder)
{
	ASSERT(builder->depth <= YAML_DEPTH_MAX);
	return builder->depth > 0 ? &builder->levels[builder->depth - 1] : NULL;
}

/* ── Building the tree ───────────────────────────────────────────────────── */

/* `prose`: it may have lines. */
static int check_text(
        const struct builder *builder, struct slice text, struct place place, bool prose)
{
	if (text.len > YAML_TEXT_MAX) {
		return fault_set(
		        builder->error, place, "a text is longer than %d bytes", YAML_TEXT_MAX);
	}
	for (size_t i = 0; i < text.len; i++) {
		const unsigned char c = (unsigned char)text.ptr[i];
		if ((c < 0x20 && !(prose && (c == '\n' || c == '\t'))) || c == 0x7f) {
			return fault_set(builder->error, place,
			        "a text has a control byte (0x%02x)", (unsigned)c);
		}
	}
	return 0;
}

/* A key is kept for the value that follows. */
static int take_key(
        struct builder *builder, struct level *level, struct slice text, struct place place)
{
	if (check_text(builder, text, place, false) < 0) {
		return -EINVAL;
	}
	for (const struct yaml_node *node = level->node->first; node != NULL; node = node->next) {
		if (slice_equal(node->key, text)) {
			return fault_set(builder->error, place,
			        "key '%s' is given twice; the first is in line %u",
			        text_show(text).text, node->place.line);
		}
	}
	if (level->count++ == YAML_KEYS_MAX) {
		return fault_set(
		        builder->error, place, "a map has more than %d keys", YAML_KEYS_MAX);
	}
	level->key = (struct slice){arena_copy(builder->arena, text), text.len};
	level->key_place = place;
	return arena_check(builder->arena, builder->error);
}

/*
 * A new node, hung into the innermost list or map. The line of a map's value
 * is that of its key: that is what people look for.
 */
static int add_node(struct builder *builder, enum yaml_kind kind, struct place place,
        struct yaml_node **ret_node)
{
	struct level *level = innermost(builder);

	if (builder->nodes++ == YAML_NODES_MAX) {
		return fault_set(
		        builder->error, place, "there are more than %d values", YAML_NODES_MAX);
	}
	if (level != NULL && level->node->kind == YAML_MAP && level->key.ptr == NULL) {
		return fault_set(builder->error, place, "a key is plain text, not a list or a map");
	}
	struct yaml_node *node = arena_take(builder->arena, sizeof(*node));
	if (node == NULL) {
		return arena_fault(builder->arena, builder->error);
	}
	*node = (struct yaml_node){.kind = kind, .place = place};
	*ret_node = node;
	if (level == NULL) {
		builder->root = node;
		return 0;
	}
	if (level->node->kind == YAML_MAP) {
		node->key = level->key;
		node->place = level->key_place;
		level->key = (struct slice){NULL, 0};
	}
	*level->end = node;
	level->end = &node->next;
	return 0;
}

static int add_text(struct builder *builder, struct slice text, struct place place)
{
	struct level *level = innermost(builder);
	struct yaml_node *node = NULL;

	if (level != NULL && level->node->kind == YAML_MAP && level->key.ptr == NULL) {
		return take_key(builder, level, text, place);
	}
	if (check_text(builder, text, place, true) < 0 ||
	        add_node(builder, YAML_TEXT, place, &node) < 0) {
		return -EINVAL;
	}
	node->text = (struct slice){arena_copy(builder->arena, text), text.len};
	return arena_check(builder->arena, builder->error);
}

static int open_level(struct builder *builder, enum yaml_kind kind, struct place place)
{
	struct yaml_node *node = NULL;

	if (builder->depth == YAML_DEPTH_MAX) {
		return fault_set(builder->error, place,
		        "lists and maps are nested more than %d deep", YAML_DEPTH_MAX);
	}
	if (add_node(builder, kind, place, &node) < 0) {
		return -EINVAL;
	}
	builder->levels[builder->depth++] = (struct level){.node = node, .end = &node->first};
	return 0;
}

/* ── Events ──────────────────────────────────────────────────────────────── */

static int refuse_decoration(
        const struct builder *builder, struct place place, const void *anchor, const void *tag)
{
	if (anchor != NULL) {
		return fault_set(builder->error, place,
		        "anchors (&%.64s) are not supported: write the value where it is needed; "
		        "for a compose file 'docker compose config' does that",
		        (const char *)anchor);
	}
	if (tag != NULL) {
		return fault_set(builder->error, place, "tags (%s) are not supported",
		        text_show(slice_of(tag)).text);
	}
	return 0;
}

static int fail_alias(const struct builder *builder, struct place place)
{
	return fault_set(builder->error, place,
	        "a word that begins with '*' is an alias in YAML, which is not supported here: "
	        "put a glob in quotes, '*.list'");
}

static int take_event(struct builder *builder, const yaml_event_t *event)
{
	const struct place place = {builder->file, (unsigned)event->start_mark.line + 1};
	struct slice text;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return builder->documents++ == 0
		               ? 0
		               : fault_set(builder->error, place,
		                         "a second document begins; one file holds one");
	case YAML_ALIAS_EVENT:
		return fail_alias(builder, place);
	case YAML_SCALAR_EVENT:
		text = (struct slice){
		        (const char *)event->data.scalar.value, event->data.scalar.length};
		return refuse_decoration(builder, place, event->data.scalar.anchor,
		               event->data.scalar.tag) < 0
		               ? -EINVAL
		               : add_text(builder, text, place);
	case YAML_SEQUENCE_START_EVENT:
		return refuse_decoration(builder, place, event->data.sequence_start.anchor,
		               event->data.sequence_start.tag) < 0
		               ? -EINVAL
		               : open_level(builder, YAML_LIST, place);
	case YAML_MAPPING_START_EVENT:
		return refuse_decoration(builder, place, event->data.mapping_start.anchor,
		               event->data.mapping_start.tag) < 0
		               ? -EINVAL
		               : open_level(builder, YAML_MAP, place);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		ASSERT(builder->depth > 0);
		builder->depth--;
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	return 0;
}

static unsigned line_of_offset(struct slice bytes, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < offset && i < bytes.len; i++) {
		line += bytes.ptr[i] == '\n';
	}
	return line;
}

/* libyaml counts characters. */
static size_t offset_of_character(struct slice bytes, size_t index)
{
	size_t at = 0;

	for (; at < bytes.len; at++) {
		if (((unsigned char)bytes.ptr[at] & 0xc0) != 0x80 && index-- == 0) {
			break;
		}
	}
	return at;
}

/* Where an unquoted text that holds brackets was meant to end: in front of a comment, or of the
 * comma or brace that is outside of its own brackets. */
static const char *meant_end(const char *at, const char *line_end)
{
	int depth = 0;

	for (; at < line_end && (depth > 0 || strchr(",]}", *at) == NULL); at++) {
		depth += *at == '[' || *at == '{';
		depth -= *at == ']' || *at == '}';
		if (*at == '#' && (at[-1] == ' ' || at[-1] == '\t')) {
			break;
		}
	}
	return at;
}

/*
 * In `{path: /plugins/[a-z]+/json}` the text ends at the bracket, which is at `at`; -EINVAL with
 * what to write, or 0: it is something else.
 */
static int fail_bracket(
        const struct builder *builder, struct place place, struct slice bytes, size_t at)
{
	const char *end = bytes.ptr + bytes.len;
	const char *bracket = bytes.ptr + at;
	const char *line = bracket;
	const char *text = NULL;

	while (line > bytes.ptr && line[-1] != '\n') {
		line--;
		if (text == NULL && line + 1 < bracket && line[0] == ':' && line[1] == ' ') {
			text = line + 2;
		}
	}
	if (text == NULL || text == bracket || strchr("'\"[]{}", *text) != NULL) {
		return 0;
	}
	const char *key = text - 2;
	while (key > line && (ascii_is_alnum(key[-1]) || key[-1] == '_')) {
		key--;
	}
	const char *newline = memchr(bracket, '\n', (size_t)(end - bracket));
	const char *stop = meant_end(text, newline != NULL ? newline : end);
	return fault_set(builder->error, place,
	        "a text with brackets or braces inside {} needs single quotes: %.*s: '%s'",
	        SLICE_FMT(slice_between(key, text - 2)),
	        text_show(slice_trim(slice_between(text, stop))).text);
}

/* libyaml's words, and what they mean where they are known to puzzle. */
static int fail_parser(
        const struct builder *builder, const yaml_parser_t *parser, struct slice bytes)
{
	struct place place = {builder->file, (unsigned)parser->problem_mark.line + 1};
	const size_t at = offset_of_character(bytes, parser->problem_mark.index);
	const char *context = parser->context != NULL ? parser->context : "";

	if (parser->error == YAML_MEMORY_ERROR) {
		return fault_memory(builder->error);
	}
	if (parser->error == YAML_READER_ERROR) {
		place.line = line_of_offset(bytes, parser->problem_offset);
		return fault_set(
		        builder->error, place, "the text is not UTF-8: %s", parser->problem);
	}
	if (strstr(context, "alias") != NULL) {
		return fail_alias(builder, place);
	}
	if (at < bytes.len && bytes.ptr[at] == '\t') {
		return fault_set(
		        builder->error, place, "a tab is no indentation in YAML: use spaces");
	}
	if (strstr(context, "flow") != NULL && at < bytes.len &&
	        strchr("[]{}", bytes.ptr[at]) != NULL &&
	        fail_bracket(builder, place, bytes, at) < 0) {
		return -EINVAL;
	}
	return fault_set(builder->error, place, "this is not YAML: %s%s%s", parser->problem,
	        context[0] != '\0' ? " " : "", context);
}

static int parse(struct builder *builder, yaml_parser_t *parser, struct slice bytes)
{
	bool ended = false;
	int code = 0;

	while (code == 0 && !ended) {
		yaml_event_t event;
		if (yaml_parser_parse(parser, &event) == 0) {
			return fail_parser(builder, parser, bytes);
		}
		ended = event.type == YAML_STREAM_END_EVENT;
		code = take_event(builder, &event);
		yaml_event_delete(&event);
	}
	return code;
}

static int read_tree(struct builder *builder, struct slice bytes)
{
	yaml_parser_t parser;

	if (yaml_parser_initialize(&parser) == 0) {
		return fault_memory(builder->error);
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.ptr, bytes.len);
	const int code = parse(builder, &parser, bytes);
	yaml_parser_delete(&parser);
	if (code == 0 && builder->root == NULL) {
		return fault_set(builder->error, (struct place){builder->file, 1},
		        "there is nothing in the file");
	}
	return code;
}

int yaml_read(struct slice bytes, const char *file, struct arena *arena,
        const struct yaml_node **ret_root, char error[FAULT_MAX])
{
	struct builder builder = {.arena = arena, .file = file};

	builder.error = error;
	if (bytes.len > YAML_SIZE_MAX) {
		return fault_set(builder.error, (struct place){file, 1},
		        "the file is longer than %d bytes", YAML_SIZE_MAX);
	}
	if (read_tree(&builder, bytes) < 0) {
		return -EINVAL;
	}
	*ret_root = builder.root;
	return 0;
}
