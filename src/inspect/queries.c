/* SPDX-License-Identifier: MIT */
/* queries — checks of paths and queries. */
#include "inspect/check.h"

static const struct row pull_row = {.key = KEY_IMAGE_pull, .fine = ""};
static const struct row push_row = {.key = KEY_IMAGE_push, .fine = ""};
static const struct row tag_row = {.key = KEY_IMAGE_tag, .fine = ""};
static const struct row import_row = {.key = KEY_IMAGE_import, .fine = ""};
static const struct row load_row = {.key = KEY_IMAGE_load, .fine = ""};
static const struct row attach_row = {.key = KEY_EXEC_attach, .fine = ""};
static const struct row paths_row = {.key = KEY_EXEC_paths, .fine = ""};
static const struct row plugin_row = {.key = KEY_CREATE_plugins, .fine = ""};
static const struct row swarm_row = {.key = KEY_CREATE_swarm, .fine = ""};

/* A finding about a parameter, or, with NULL, about the path. */
static void find_in_request(struct walk *walk, const struct row *row, const char *parameter,
        struct slice word, const char *problem)
{
	walk->place = parameter == NULL ? SLICE("path") : (struct slice){NULL, 0};
	walk->parameter = parameter == NULL ? (struct slice){NULL, 0} : slice_of(parameter);
	walk_find(walk, row, word, problem);
	walk->place = walk->parameter = (struct slice){NULL, 0};
}

/* The value of a parameter. Given twice, readers differ in which one counts. */
static struct slice parameter_of(struct walk *walk, const struct row *row, const char *name)
{
	struct slice rest = walk->query;
	struct slice found = {"", 0};
	struct slice key;
	struct slice value;
	unsigned count = 0;

	while (docker_next_parameter(&rest, &walk->spelled, &key, &value)) {
		if (slice_equal(key, slice_of(name))) {
			found = value;
			count++;
		}
	}
	if (count > 1) {
		find_in_request(walk, row, name, found, "the parameter is given twice");
	}
	return found;
}

/* Whether the reference has a tag or a digest. */
static bool has_tag(struct slice image)
{
	const char *slash = memrchr(image.ptr, '/', image.len);
	const struct slice last =
	        slash == NULL ? image : slice_behind(image, (size_t)(slash + 1 - image.ptr));

	return memchr(last.ptr, ':', last.len) != NULL || memchr(last.ptr, '@', last.len) != NULL;
}

/* `standard`: what the Engine takes where there is no tag; a star: all of them. */
static void check_reference(struct walk *walk, const struct row *row, const char *parameter,
        struct slice image, const char *standard)
{
	const struct slice tag = parameter_of(walk, row, "tag");
	const bool is_digest = memchr(tag.ptr, ':', tag.len) != NULL;
	char memory[512];
	struct text text = text_over(memory, sizeof(memory));

	text_add(&text, image);
	if (tag.len > 0 && has_tag(image)) {
		find_in_request(walk, row, "tag", tag, "the image has a tag already");
	} else if (tag.len > 0 || !has_tag(image)) {
		text_add(&text, is_digest ? SLICE("@") : SLICE(":"));
		text_add(&text, tag.len > 0 ? tag : slice_of(standard));
	}
	if (text.overflow || !allows(walk, row, text_slice(&text))) {
		find_in_request(walk, row, parameter, text_slice(&text), NULL);
	}
}

CHECK(JOIN)
{
	const struct slice network = walk->request->name;

	(void)row;
	if (!allows(walk, &network_row, network)) {
		find_in_request(walk, &network_row, NULL, network, NULL);
	}
	pin_connection(walk, value);
}

CHECK(PULL)
{
	(void)row;
	(void)value;
	check_reference(
	        walk, &pull_row, "fromImage", parameter_of(walk, &pull_row, "fromImage"), "*");
}

CHECK(PUSH)
{
	(void)row;
	(void)value;
	check_reference(walk, &push_row, NULL, walk->request->name, "*");
}

CHECK(TAG)
{
	(void)row;
	(void)value;
	check_reference(walk, &tag_row, "repo", parameter_of(walk, &tag_row, "repo"), "latest");
}

/* Without a name, the image has only its id. */
CHECK(COMMIT)
{
	if (value->text.len > 0) {
		check_TAG(walk, row, value);
	}
}

/* The Engine then reads no body: it takes the specification that the service had before. */
CHECK(ROLLBACK)
{
	const struct slice word = text_of(value);

	if (word.len > 0 && !word_is_in(word, row->fine)) {
		walk_find(walk, row, word,
		        "brings back what was not looked into; send the whole specification");
	}
}

/*
 * The Engine lets ps list all processes of the host, and leaves out what is not the container's by
 * the column PID. With columns of the client's choice a word of any command line or environment
 * stands there, which the Engine quotes as an unexpected pid. All options that choose columns have
 * this letter (-o, o, -O, --format).
 */
CHECK(COLUMNS)
{
	const struct slice word = text_of(value);

	if (memchr(word.ptr, 'o', word.len) != NULL || memchr(word.ptr, 'O', word.len) != NULL) {
		walk_find(walk, row, word,
		        "has the letter o: with columns of one's own choice, ps shows processes of "
		        "the host; use other options, such as aux");
	}
}

/* The request as a whole, if the key allows it. */
static void require_open(struct walk *walk, const struct row *row)
{
	if (!set_of(walk, row->key)->any) {
		find_in_request(walk, row, NULL, SLICE(""), NULL);
	}
}

CHECK(IMPORT)
{
	(void)row;
	(void)value;
	require_open(walk, &import_row);
}

CHECK(LOAD)
{
	(void)row;
	(void)value;
	require_open(walk, &load_row);
}

CHECK(PLUGIN)
{
	(void)row;
	(void)value;
	require_open(walk, &plugin_row);
}

CHECK(SWARM)
{
	(void)row;
	(void)value;
	require_open(walk, &swarm_row);
}

CHECK(ATTACH)
{
	(void)row;
	(void)value;
	require_open(walk, &attach_row);
}

/* "/builds/." is what is in /builds. */
CHECK(ARCHIVE)
{
	struct slice path = parameter_of(walk, &paths_row, "path");

	(void)row;
	(void)value;
	path.len -= path.len > 1 && slice_ends_with(path, SLICE("/."));
	if (!allows(walk, &paths_row, path)) {
		find_in_request(walk, &paths_row, "path", path, NULL);
	}
}

CHECK(EXPORT)
{
	(void)row;
	(void)value;
	if (!allows(walk, &paths_row, SLICE("/"))) {
		find_in_request(walk, &paths_row, NULL, SLICE("/"), NULL);
	}
}
