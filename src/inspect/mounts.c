/* SPDX-License-Identifier: MIT */
/* mounts — checks of binds, mounts and volumes. */
#include "inspect/check.h"

/* Rows for a key alone. */
static const struct row volume_row = {.key = KEY_CREATE_volumes, .fine = ""};
static const struct row image_row = {.key = KEY_CREATE_images, .fine = ""};
static const struct row propagation_row = {.key = KEY_CREATE_propagation, .fine = ""};
static const struct row keyless_row = {.key = KEY_ANYTHING, .fine = ""};

/* An empty name: the Engine makes one. */
static void check_volume_name(
        struct walk *walk, const struct row *row, const char *member, struct slice name)
{
	if (name.len > 0 && !word_is_volume(name)) {
		walk_find_in(walk, row, member, name,
		        "is neither an absolute path nor the name of a volume");
	} else if (!allows(walk, &volume_row, SLICE("named"))) {
		walk_find_in(walk, &volume_row, member, name, NULL);
	} else {
		walk_refer(walk, SCOPE_NEW_VOLUME, name);
	}
}

static const struct row below_row = {.key = KEY_CREATE_bind_below, .fine = ""};
static const struct row writable_row = {.key = KEY_CREATE_writable_binds, .fine = ""};

/* Whether the policy names the path itself. */
static bool is_named(const struct walk *walk, struct slice path)
{
	path.len -= path.len > 1 && slice_ends_with(path, SLICE("/"));
	return set_names(set_of(walk, KEY_CREATE_bind_sources), path);
}

/* What is said of a path of the host, and why it is not allowed. */
struct opinion {
	bool allowed;
	const struct row *row; /* of the key */
	const char *problem;   /* as of walk_find() */
};

static struct opinion judge_path(const struct walk *walk, const struct row *row, struct slice path)
{
	if (!word_is_path(path)) {
		return (struct opinion){false, row,
		        "must be an absolute path without '.', '..', empty segments, commas "
		        "and colons"};
	}
	if (!allows(walk, row, path)) {
		return (struct opinion){false, row, NULL};
	}
	if (!set_of(walk, row->key)->any && memmem(path.ptr, path.len, "{{", 2) != NULL) {
		/* A swarm puts the labels of a service there, with any `..` in them. */
		return (struct opinion){false, &keyless_row, "has a template"};
	}
	if (!set_of(walk, KEY_CREATE_bind_below)->any && !is_named(walk, path)) {
		return (struct opinion){false, &below_row, NULL};
	}
	return (struct opinion){true, row, NULL};
}

static bool is_allowed(const struct walk *walk, const struct row *row, struct slice path)
{
	return judge_path(walk, row, path).allowed;
}

const char inspect_leads_out[] =
        "leads through a symbolic link to nothing, or to a path that is not allowed";
const char inspect_too_many_paths[] =
        "is one path of the host too many in this body, or too long beside the others";

void inspect_paths_begin(struct inspect_paths *paths)
{
	paths->count = 0;
	paths->answered = 0;
	paths->steps = INSPECT_STEPS_MAX;
	paths->sources = NULL;
	paths->takes_socket = false;
	paths->text = text_over(paths->memory, sizeof(paths->memory));
}

bool inspect_may_lead(const struct inspect_paths *paths, struct slice way)
{
	const struct set *sources = paths->sources;

	if (sources == NULL ||
	        (paths->takes_socket && (path_is_engine(way) || path_holds_engine(way)))) {
		return true;
	}
	for (unsigned i = 0; i < sources->count; i++) {
		if (path_is_below(way, sources->patterns[i]) ||
		        path_is_below(sources->patterns[i], way)) {
			return true;
		}
	}
	return false;
}

/* The path among those that are or will be resolved; NULL: there are too many. */
static const struct inspect_path *look_up(struct inspect_paths *paths, struct slice path)
{
	const size_t start = paths->text.len;

	for (unsigned i = 0; i < paths->count; i++) {
		if (slice_equal(paths->list[i].path, path)) {
			return &paths->list[i];
		}
	}
	text_add(&paths->text, path);
	if (paths->count == INSPECT_PATHS_MAX || paths->text.overflow) {
		return NULL;
	}
	struct inspect_path *one = &paths->list[paths->count++];
	*one = (struct inspect_path){
	        .path = slice_behind(text_slice(&paths->text), start), .resolved = {"", 0}};
	return one;
}

/* What is wrong with where a path leads; NULL: nothing. `made`: the Engine makes what is missing.
 */
static const char *resolved_problem(
        const struct walk *walk, const struct row *row, const struct inspect_path *host, bool made)
{
	const struct slice there = {host->resolved.ptr, host->there};

	if (host->problem != NULL) {
		/* What there is elsewhere, where a link leads, is nothing for the client. */
		return path_is_below(host->path, host->resolved) ||
		                       is_allowed(walk, row, host->resolved)
		               ? host->problem
		               : inspect_leads_out;
	}
	if (!is_allowed(walk, row, host->resolved) || !json_is_utf8(host->resolved)) {
		return inspect_leads_out;
	}
	/* What the Engine sees and the proxy does not, as a later mount, may have links. */
	if (!is_allowed(walk, row, there)) {
		return "is below a source that is not there below host_root: make it, or show it "
		       "to the proxy";
	}
	return made || there.len == host->resolved.len ? NULL
	                                               : "is not there below host_root, and the "
	                                                 "Engine does not make it for a mount";
}

/* Whether the proxy's own socket takes the place of a source, which begins the text of `value`. */
static bool redirect(struct walk *walk, const struct row *row, const struct json_node *value,
        struct slice source, struct slice leads_to)
{
	const struct set *socket = set_of(walk, KEY_CREATE_socket);

	if (socket->count == 0 || !path_is_engine(leads_to)) {
		return false;
	}
	if (!walk_redirect(walk, value, SLICE(""), socket->patterns[0],
	            slice_behind(value->text, source.len))) {
		walk_find(walk, row, source, "the body has too many binds of the Engine's socket");
	}
	return true;
}

/* The path that a source leads to takes its place: what was judged is what is mounted. */
static void resolve(struct walk *walk, const struct row *row, const char *member,
        const struct json_node *value, struct slice source, bool made)
{
	struct inspect_paths *paths = walk->findings->paths;
	paths->sources = set_of(walk, row->key);
	paths->takes_socket = set_of(walk, KEY_CREATE_socket)->count > 0;
	const struct inspect_path *host = look_up(paths, source);
	if (host == NULL) {
		walk_find_in(walk, &keyless_row, member, source, inspect_too_many_paths);
		return;
	}
	if (host >= paths->list + paths->answered ||
	        (host->problem == NULL && redirect(walk, row, value, source, host->resolved))) {
		return;
	}
	const char *problem = resolved_problem(walk, row, host, made);
	if (problem != NULL) {
		walk_find_in(walk, row, member, source, problem);
	} else if (!slice_equal(source, host->resolved) &&
	           !walk_redirect(walk, value, SLICE(""), host->resolved,
	                   slice_behind(value->text, source.len))) {
		walk_find_in(walk, &keyless_row, member, source, inspect_too_many_paths);
	}
}

/* The source of a bind, which begins the text of `value`. `made`: see resolved_problem(). */
static void check_source(struct walk *walk, const struct row *row, const char *member,
        const struct json_node *value, struct slice source, bool made)
{
	const struct opinion opinion = judge_path(walk, row, source);

	if (!opinion.allowed) {
		walk_find_in(walk, opinion.row, member, source, opinion.problem);
	} else if (walk->findings->paths != NULL && !set_of(walk, row->key)->any) {
		resolve(walk, row, member, value, source, made);
	}
}

static void check_writable(struct walk *walk, bool read_only, const char *member, struct slice path)
{
	if (!read_only && !set_of(walk, KEY_CREATE_writable_binds)->any) {
		walk_find_in(walk, &writable_row, member, path, NULL);
	}
}

/* Whether a word is among those between commas. */
static bool has_option(struct slice options, struct slice wanted)
{
	struct slice option;

	while (slice_next(&options, ',', &option)) {
		if (slice_equal(option, wanted)) {
			return true;
		}
	}
	return false;
}

static bool is_true(const struct json_node *object, const char *name)
{
	const struct json_node *member =
	        object == NULL ? NULL : json_member(object, slice_of(name));

	return member != NULL && member->type == JSON_TRUE;
}

/* Read-only with all that is mounted below it. */
static bool is_read_only(const struct json_node *mount)
{
	const struct json_node *options = json_member(mount, SLICE("BindOptions"));

	return is_true(mount, "ReadOnly") && !is_true(options, "ReadOnlyNonRecursive");
}

static bool makes_source(const struct json_node *mount)
{
	const struct json_node *options = json_member(mount, SLICE("BindOptions"));

	return options != NULL && is_true(options, "CreateMountpoint");
}

static void check_bind_option(struct walk *walk, struct slice option)
{
	if (word_is_in(option, "shared rshared slave rslave")) {
		if (!set_of(walk, KEY_CREATE_propagation)->any) {
			walk_find(walk, &propagation_row, option, NULL);
		}
	} else if (option.len > 0 && !word_is_in(option, "ro rw z Z nocopy private rprivate "
	                                                 "consistent cached delegated default")) {
		walk_find(
		        walk, &keyless_row, option, "is not an option of a bind that Docker knows");
	}
}

static void check_bind_options(struct walk *walk, struct slice options)
{
	struct slice option;

	while (slice_next(&options, ',', &option)) {
		check_bind_option(walk, option);
	}
}

/* "/source:/target:options", "volume:/target", "/target" */
CHECK(BIND)
{
	struct slice rest = text_of(value);
	const bool anonymous = memchr(rest.ptr, ':', rest.len) == NULL;
	struct slice source = {"", 0};
	struct slice target = {"", 0};

	if (anonymous) {
		check_volume_name(walk, row, NULL, SLICE(""));
		return;
	}
	(void)slice_next(&rest, ':', &source);
	(void)slice_next(&rest, ':', &target);
	if (redirect(walk, row, value, source, source)) {
		check_bind_options(walk, rest);
		return;
	}
	if (slice_starts_with(source, SLICE("/"))) {
		check_source(walk, row, NULL, value, source, true);
		check_writable(walk, has_option(rest, SLICE("ro")), NULL, source);
	} else if (source.len == 0) {
		walk_find(walk, row, text_of(value), "has no source");
	} else {
		check_volume_name(walk, row, NULL, source);
	}
	check_bind_options(walk, rest);
}

static bool is_local(const struct json_node *driver)
{
	const struct json_node *options = json_member(driver, SLICE("Options"));
	const struct slice name = text_of(json_member(driver, SLICE("Name")));

	return (options == NULL || options->size == 1) &&
	       (name.len == 0 || slice_equal(name, SLICE("local")));
}

/* A volume of a scope is made before the container, without a driver of its own. */
static void check_volume_driver(struct walk *walk, const struct json_node *mount)
{
	const struct json_node *options = json_member(mount, SLICE("VolumeOptions"));
	const struct json_node *driver =
	        options == NULL ? NULL : json_member(options, SLICE("DriverConfig"));

	if (walk->view != NULL && driver != NULL && !is_local(driver)) {
		walk_find_in(walk, &keyless_row, "VolumeOptions", (struct slice){"", 0},
		        "has a driver: under a scope, make the volume first");
	}
}

CHECK(MOUNT)
{
	const struct slice type = text_of(json_member(value, SLICE("Type")));
	const struct json_node *member = json_member(value, SLICE("Source"));
	const struct slice source = text_of(member);

	if (slice_equal(type, SLICE("bind"))) {
		if (!redirect(walk, row, member, source, source)) {
			check_source(walk, row, "Source", member, source, makes_source(value));
			check_writable(walk, is_read_only(value), "Source", source);
		}
	} else if (slice_equal(type, SLICE("volume"))) {
		check_volume_name(walk, row, "Source", source);
		check_volume_driver(walk, value);
	} else if (slice_equal(type, SLICE("image"))) {
		if (!allows(walk, &image_row, source)) {
			walk_find_in(walk, &image_row, "Source", source, NULL);
		}
	} else if (!slice_equal(type, SLICE("tmpfs"))) {
		walk_find_in(
		        walk, &keyless_row, "Type", type, "is not bind, volume, image or tmpfs");
	}
}

/* A path in the container. */
CHECK(TARGET)
{
	if (word_has_separator(text_of(value))) {
		walk_find(walk, row, text_of(value), "has a comma, a colon or a quote");
	}
}

/* Tmpfs: the path in the container is the name. */
CHECK(MOUNTED)
{
	if (word_has_separator(value->name)) {
		walk_find(walk, row, value->name, "has a comma, a colon or a quote");
	}
	check_OPTIONS(walk, row, value);
}

CHECK(VOLUME_LABEL)
{
	check_NAME(walk, row, value);
	if (walk->view != NULL && scope_sets(walk->view->scope, value)) {
		walk_find(walk, row, value->name, "is a label of the scope: leave it out");
	}
}

/* Making a volume that is there already shows it. */
CHECK(NEW_VOLUME)
{
	const struct scope_object object = {SCOPE_VOLUME, text_of(value)};

	if (walk->view != NULL && object.reference.len > 0 &&
	        scope_look_for_name(walk->view, object) == SCOPE_FOREIGN) {
		walk_find(walk, row, object.reference,
		        "is the name of a volume that is not in the scope");
	}
}

CHECK(VOLUME)
{
	if (value->name.ptr != NULL && word_has_separator(value->name)) {
		walk_find(walk, row, value->name, "has a comma, a colon or a quote");
		return;
	}
	check_volume_name(walk, &volume_row, NULL, SLICE(""));
}
