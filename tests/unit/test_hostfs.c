/* SPDX-License-Identifier: MIT */
/* Where paths of the host lead: a tree below a folder of the test is the host. */
#include "cases.h"

#include "hostfs/hostfs.h"
#include "inspect/set.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char folder[] = "/tmp/hostfs-test-XXXXXX";
static int root;
static struct inspect_paths paths; /* no ends, and all steps, but where a test sets them */
static char memory[2 * PATH_MAX];

/* Directories end with a slash, links have a target, others are files. */
static const char *const tree[][2] = {
        {"srv/", NULL},
        {"srv/work/", NULL},
        {"srv/work/sub/", NULL},
        {"srv/work/sub/file", NULL},
        {"srv/work/two words/", NULL},
        {"srv/work/\xc3\xa9t\xc3\xa9/", NULL},
        {"srv/work/a (deleted)", NULL},
        {"srv/work/shut/", NULL},
        {"etc/", NULL},
        {"etc/passwd", NULL},
        {"run/", NULL},
        {"run/docker.sock", NULL},
        {"var/", NULL},
        {"var/run", "/run"},
        {"srv/work/root", "/"},
        {"srv/work/root2", "../.."},
        {"srv/work/far", "../../../../../../../../etc"},
        {"srv/work/etc", "/etc/"},
        {"srv/work/near", "sub"},
        {"srv/work/back", "/etc/../srv/work/sub"},
        {"srv/work/back-from-nothing", "/nothing/../srv/work/sub"},
        {"srv/work/dots", "./sub/../sub/./file"},
        {"srv/work/slashes", "//srv///work//sub"},
        {"srv/work/self", "."},
        {"srv/work/space", "two words"},
        {"srv/work/\xc3\xbc", "\xc3\xa9t\xc3\xa9"},
        {"srv/work/bytes", "\xff\xfe"},
        {"srv/work/chain1", "chain2"},
        {"srv/work/chain2", "/srv/work/chain3"},
        {"srv/work/chain3", "../work/near/"},
        {"srv/work/loop", "loop"},
        {"srv/work/ping", "pong"},
        {"srv/work/pong", "ping"},
        {"srv/work/dangling", "nothing"},
        {"srv/work/dangling2", "/nothing/at/all"},
        {"srv/work/late", "sub/nothing"},
        {"srv/work/to-dangling", "dangling"},
        {"srv/work/into-file", "sub/file/x"},
        {"srv/work/socket", "../../var/run/docker.sock"},
        {"srv/work/out", "shut/inner"},
        {"home", "srv"},
};

static void in_tree(const char *name, char path[PATH_MAX])
{
	assert_in_range(snprintf(path, PATH_MAX, "%s/%s", folder, name), 1, PATH_MAX - 1);
}

static void make(const char *name, const char *target)
{
	assert_int_equal(tree_make(root, name, target), 0);
}

static int make_tree(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0) {
		return -1;
	}
	root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		return -1;
	}
	for (unsigned i = 0; i < ARRAY_LEN(tree); i++) {
		make(tree[i][0], tree[i][1]);
	}
	return 0;
}

static int remove_tree(void **state)
{
	char command[64];

	(void)state;
	(void)close(root);
	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(
	        command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a name of this test's */
}

/* What is there, and in brackets what is not; or the problem. */
static const char *resolve(int at, const char *path)
{
	static char said[2 * PATH_MAX + 8];
	struct text resolved = text_over(memory, sizeof(memory));
	size_t there = 0;
	paths.steps = INSPECT_STEPS_MAX;
	const char *problem = hostfs_resolve(at, &paths, slice_of(path), &resolved, &there);

	if (problem != NULL) {
		return problem;
	}
	assert_true(there <= resolved.len);
	(void)snprintf(said, sizeof(said), there == resolved.len ? "%.*s" : "%.*s[%.*s]",
	        (int)there, memory, (int)(resolved.len - there), memory + there);
	return said;
}

static const char looped[] = "has more than 40 symbolic links";
static const char no_folder[] = "goes through a file";

static void a_path_leads_where_its_links_do(void **state)
{
	static const char *const cases[][2] = {
	        {"/", "/"},
	        {"/srv/work", "/srv/work"},
	        {"/srv/work/", "/srv/work"},
	        {"/srv/work/sub/file", "/srv/work/sub/file"},
	        {"/srv/work/a (deleted)", "/srv/work/a (deleted)"},
	        {"/srv/work/root", "/"},
	        {"/srv/work/root/etc/passwd", "/etc/passwd"},
	        {"/srv/work/root2/etc", "/etc"},
	        {"/srv/work/far", "/etc"},
	        {"/srv/work/far/passwd", "/etc/passwd"},
	        {"/srv/work/etc", "/etc"},
	        {"/srv/work/near", "/srv/work/sub"},
	        {"/srv/work/near/", "/srv/work/sub"},
	        {"/srv/work/near/file", "/srv/work/sub/file"},
	        {"/srv/work/dots", "/srv/work/sub/file"},
	        {"/srv/work/slashes/file", "/srv/work/sub/file"},
	        {"/srv/work/self/self/self/near", "/srv/work/sub"},
	        {"/srv/work/space", "/srv/work/two words"},
	        {"/srv/work/\xc3\xbc", "/srv/work/\xc3\xa9t\xc3\xa9"},
	        {"/srv/work/chain1/file", "/srv/work/sub/file"},
	        {"/home/work/root2/run", "/run"},
	        {"/var/run/docker.sock", "/run/docker.sock"},
	        {"/srv/work/socket", "/run/docker.sock"},
	        /* What is missing is made by the Engine: the way to it counts. */
	        {"/nothing", "/[nothing]"},
	        {"/srv/work/new", "/srv/work[/new]"},
	        {"/srv/work/new/deep/", "/srv/work[/new/deep]"},
	        {"/srv/work/near/new/deep", "/srv/work/sub[/new/deep]"},
	        {"/srv/work/far/new", "/etc[/new]"},
	        {"/home/new", "/srv[/new]"},
	        /* What a link names must be there. */
	        {"/srv/work/dangling", inspect_leads_out},
	        {"/srv/work/dangling/x", inspect_leads_out},
	        {"/srv/work/dangling2", inspect_leads_out},
	        {"/srv/work/late", inspect_leads_out},
	        {"/srv/work/to-dangling/x", inspect_leads_out},
	        {"/srv/work/bytes", inspect_leads_out},
	        {"/srv/work/loop", looped},
	        {"/srv/work/loop/x", looped},
	        {"/srv/work/ping", looped},
	        {"/srv/work/into-file", no_folder},
	        {"/srv/work/sub/file/x", no_folder},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = resolve(root, cases[i][0]);
		const bool whole = cases[i][1][0] == '/';
		if (whole ? strcmp(got, cases[i][1]) != 0 : strstr(got, cases[i][1]) != got) {
			fail_msg("%s: got %s, wanted %s", cases[i][0], got, cases[i][1]);
		}
	}
}

/* Linux finds the same file by itself. */
static void the_kernel_agrees(void **state)
{
	static const char *const more[] = {"etc/passwd", "sub/file", "file", "x", "../.."};
	char path[PATH_MAX];
	unsigned compared = 0;

	(void)state;
	const int probe = tree_find(root, "/");
	if (probe < 0) {
		skip(); /* before Linux 5.6 */
	}
	assert_return_code(close(probe), errno);
	for (unsigned i = 0; i < ARRAY_LEN(tree) * (ARRAY_LEN(more) + 1); i++) {
		const unsigned k = i % (ARRAY_LEN(more) + 1);
		(void)snprintf(path, sizeof(path), "/%s/%s", tree[i / (ARRAY_LEN(more) + 1)][0],
		        k == 0 ? "" : more[k - 1]);
		const int theirs = tree_find(root, path);
		const char *got = resolve(root, path);
		if (theirs < 0) {
			continue; /* what is missing is ours to decide */
		}
		assert_that(path, tree_has(root, slice_of(got), theirs));
		assert_return_code(close(theirs), errno);
		compared++;
	}
	assert_in_range(compared, 40, 400);
}

/* What inspect/ needs, so that it does not tell of files elsewhere. */
static void a_problem_says_how_far_the_path_led(void **state)
{
	static const char *const cases[][2] = {
	        {"/srv/work/sub/file/x", "/srv/work/sub/file"},
	        {"/srv/work/loop/x", "/srv/work"},
	        {"/srv/work/far/passwd/x", "/etc/passwd"},
	        {"/srv/work/far/passwd/x/y/", "/etc/passwd"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct text resolved = text_over(memory, sizeof(memory));
		size_t there = 0;
		paths.steps = INSPECT_STEPS_MAX;
		assert_non_null(
		        hostfs_resolve(root, &paths, slice_of(cases[i][0]), &resolved, &there));
		assert_slice(cases[i][0], text_slice(&resolved), slice_of(cases[i][1]));
	}
}

static void links_of_proc_are_refused(void **state)
{
	static const char *const hidden[] = {"/proc/self/root", "/proc/self", "/proc/self/cwd/x",
	        "/proc/self/fd/0", "/proc/self/exe", "/dev/fd/0", "/proc/mounts"};
	const int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	if (getenv("MESON_EXE_WRAPPER") != NULL) {
		skip(); /* qemu has links of /proc of its own */
	}
	for (unsigned i = 0; i < ARRAY_LEN(hidden); i++) {
		const char *got = resolve(host, hidden[i]);
		assert_that(
		        hidden[i], strstr(got, "leads through a symbolic link of /proc") == got);
	}
	assert_string_equal(resolve(host, "/proc/sys/kernel"), "/proc/sys/kernel");
	assert_return_code(close(host), errno);
}

/* A chain of links, each of which leads to the next one. */
static void as_many_links_as_linux_follows(void **state)
{
	char name[64];
	char target[32];

	(void)state;
	make("srv/chain/", NULL);
	make("srv/chain/0", NULL);
	for (unsigned i = 1; i <= HOSTFS_LINKS_MAX + 1; i++) {
		(void)snprintf(name, sizeof(name), "srv/chain/%u", i);
		(void)snprintf(target, sizeof(target), "%u", i - 1);
		make(name, target);
	}
	assert_string_equal(resolve(root, "/srv/chain/40"), "/srv/chain/0");
	assert_ptr_equal(
	        strstr(resolve(root, "/srv/chain/41"), looped), resolve(root, "/srv/chain/41"));
}

/* A path of `len` bytes behind `begin`, of directories called "a". */
static const char *deep(const char *begin, size_t len)
{
	static char path[2 * PATH_MAX];
	struct text text = text_over(path, sizeof(path) - 1);

	text_add(&text, slice_of(begin));
	while (text.len < len) {
		text_add_char(&text, text.len % 2 == strlen(begin) % 2 ? '/' : 'a');
	}
	path[text.len] = '\0';
	return path;
}

static void lengths_have_an_end(void **state)
{
	char name[NAME_MAX + 16];
	char target[PATH_MAX];
	static const char too_long[] = "is longer than 4,095 bytes";

	(void)state;
	make("srv/d/", NULL);
	const char *path = deep("/srv/d", 4095);
	assert_int_equal(strlen(path), 4095);
	assert_ptr_equal(strstr(resolve(root, path), "/srv/d[/a/a"), resolve(root, path));
	assert_ptr_equal(strstr(resolve(root, deep("/srv/d", 4096)), too_long),
	        resolve(root, deep("/srv/d", 4096)));
	/* A link makes it longer. */
	(void)snprintf(target, sizeof(target), "/srv/work/sub/../sub/../sub");
	make("srv/d/x", target);
	assert_ptr_equal(strstr(resolve(root, deep("/srv/d/x", 4095)), too_long),
	        resolve(root, deep("/srv/d/x", 4095)));
	memset(name, 'n', sizeof(name));
	memcpy(name, "/srv/d/", 7);
	name[7 + NAME_MAX] = '\0';
	assert_ptr_equal(strstr(resolve(root, name), "/srv/d[/nnn"), resolve(root, name));
	name[7 + NAME_MAX] = 'n';
	name[8 + NAME_MAX] = '\0';
	assert_ptr_equal(strstr(resolve(root, name), too_long), resolve(root, name));
}

/* Directories can be deeper than a path is long. */
static void a_way_that_is_too_long_ends_at_a_directory(void **state)
{
	enum { DEEP = 17, HALF = 9, LEN = 250 };
	static const char too_long[] = "is longer than 4,095 bytes";
	char name[LEN + 2] = "";
	char half[PATH_MAX] = "";
	char path[PATH_MAX];
	int at = dup(root);

	(void)state;
	memset(name, 'n', LEN);
	name[LEN] = '/';
	for (unsigned i = 0; i < DEEP; i++) {
		assert_int_equal(tree_make(at, name, NULL), 0);
		const int below = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_return_code(below, errno);
		assert_return_code(close(at), errno);
		at = below;
		memcpy(half + (size_t)(i % HALF) * (LEN + 1), name, LEN + 1);
	}
	assert_return_code(close(at), errno);
	make("half", half);
	(void)snprintf(path, sizeof(path), "/half/%.*s", (int)strlen(half), half);
	/* There, or not there behind 16 of these names, which fit. */
	path[strlen(path) - LEN - 1] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		struct text resolved = text_over(memory, sizeof(memory));
		size_t there = 0;
		paths.steps = INSPECT_STEPS_MAX;
		const char *problem =
		        hostfs_resolve(root, &paths, slice_of(path), &resolved, &there);
		assert_non_null(problem);
		assert_ptr_equal(strstr(problem, too_long), problem);
		assert_int_equal(resolved.len, 16 * (LEN + 1));
		assert_int_equal(there, i == 0 ? resolved.len : 9 * (LEN + 1));
		path[6] = 'm';
	}
}

static void what_the_user_may_not_search_is_refused(void **state)
{
	char path[PATH_MAX];
	const uid_t user = geteuid();

	(void)state;
	in_tree("srv/work/shut", path);
	assert_return_code(chmod(path, 0600), errno);
	assert_return_code(user == 0 ? seteuid(65532) : 0, errno);
	const char *inside = resolve(root, "/srv/work/shut/x");
	assert_ptr_equal(strstr(inside, "cannot be looked up below host_root: the user"), inside);
	assert_ptr_equal(resolve(root, "/srv/work/out"), inside);
	assert_string_equal(resolve(root, "/srv/work/shut"), "/srv/work/shut");
	assert_return_code(seteuid(user), errno);
}

static void without_descriptors_nothing_is_allowed(void **state)
{
	static const char too_many[] = "cannot be looked up below host_root: there are too many";
	struct rlimit limit;

	(void)state;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	const struct rlimit none = {.rlim_cur = 1, .rlim_max = limit.rlim_max};
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	const char *got = resolve(root, "/srv/work");
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_ptr_equal(strstr(got, too_many), got);
	/* An error that no row names. */
	got = resolve(-1, "/srv/work");
	assert_ptr_equal(strstr(got, "cannot be looked up below host_root: the file system"), got);
}

static void no_descriptor_is_left(void **state)
{
	const int before = dup(root);

	(void)state;
	assert_return_code(close(before), errno);
	for (unsigned i = 0; i < ARRAY_LEN(tree); i++) {
		char path[PATH_MAX];
		(void)snprintf(path, sizeof(path), "/%s", tree[i][0]);
		(void)resolve(root, path);
		(void)resolve(root, "/srv/work/far/../x");
	}
	const int after = dup(root);
	assert_return_code(close(after), errno);
	assert_int_equal(after, before);
}

static void paths_are_answered_once_and_together(void **state)
{
	(void)state;
	inspect_paths_begin(&paths);
	paths.list[0] = (struct inspect_path){.path = SLICE("/srv/work/near")};
	paths.list[1] = (struct inspect_path){.path = SLICE("/srv/work/loop")};
	paths.count = 2;
	hostfs_answer(root, &paths);
	assert_int_equal(paths.answered, 2);
	assert_null(paths.list[0].problem);
	assert_slice("near", paths.list[0].resolved, SLICE("/srv/work/sub"));
	assert_int_equal(paths.list[0].there, paths.list[0].resolved.len);
	assert_non_null(paths.list[1].problem);
	/* No room for the answer is a problem too. */
	paths.text.len = paths.text.cap - 4;
	paths.list[paths.count++] = (struct inspect_path){.path = SLICE("/srv/work")};
	hostfs_answer(root, &paths);
	assert_ptr_equal(paths.list[2].problem, inspect_too_many_paths);
}

/* A way that leaves what is allowed is not walked, even if it would come back: what is there makes
 * no difference. */
static void no_way_leads_through_other_places(void **state)
{
	static const struct slice allowed[] = {SLICE_INIT("/srv/work")};
	static const struct set sources = {.count = 1, .patterns = allowed};
	static const char *const cases[][2] = {
	        {"/srv/work/near", "/srv/work/sub"},
	        {"/srv/work/chain1", "/srv/work/sub"},
	        {"/srv/work/root2", "/"}, /* above: the caller refuses it */
	        {"/srv/work/back", inspect_leads_out},
	        {"/srv/work/back-from-nothing", inspect_leads_out},
	        {"/srv/work/etc/passwd", inspect_leads_out},
	        {"/srv/work/etc/passwd/x", inspect_leads_out},
	        {"/srv/work/socket", inspect_leads_out},
	};

	(void)state;
	paths.sources = &sources;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(resolve(root, cases[i][0]), cases[i][1]);
	}
	paths.takes_socket = true;
	assert_string_equal(resolve(root, "/srv/work/socket"), "/run/docker.sock");
	assert_string_equal(resolve(root, "/srv/work/back"), inspect_leads_out);
	inspect_paths_begin(&paths);
}

/* A step down is a directory that is opened; so is each one of the way back after `..`. */
static void steps_have_an_end(void **state)
{
	static const struct {
		const char *path;
		unsigned steps;
	} cases[] = {
	        {"/srv", 1}, {"/srv/work/sub", 3},
	        {"/srv/work/near", 4},   /* the link, and its target */
	        {"/srv/work/chain3", 7}, /* .., which is /srv again; work, near/ -> sub */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		for (unsigned short_of = 0; short_of < 2; short_of++) {
			struct text resolved = text_over(memory, sizeof(memory));
			size_t there = 0;
			paths.steps = cases[i].steps - short_of;
			const char *problem = hostfs_resolve(
			        root, &paths, slice_of(cases[i].path), &resolved, &there);
			assert_that(cases[i].path, (problem == NULL) == (short_of == 0));
			assert_int_equal(paths.steps, 0);
			assert_true(
			        problem == NULL || strstr(problem, "4,096 directories") != NULL);
		}
	}
	inspect_paths_begin(&paths);
	assert_int_equal(paths.steps, INSPECT_STEPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_path_leads_where_its_links_do),
	        cmocka_unit_test(the_kernel_agrees),
	        cmocka_unit_test(a_problem_says_how_far_the_path_led),
	        cmocka_unit_test(links_of_proc_are_refused),
	        cmocka_unit_test(as_many_links_as_linux_follows),
	        cmocka_unit_test(lengths_have_an_end),
	        cmocka_unit_test(a_way_that_is_too_long_ends_at_a_directory),
	        cmocka_unit_test(what_the_user_may_not_search_is_refused),
	        cmocka_unit_test(without_descriptors_nothing_is_allowed),
	        cmocka_unit_test(no_descriptor_is_left),
	        cmocka_unit_test(paths_are_answered_once_and_together),
	        cmocka_unit_test(no_way_leads_through_other_places),
	        cmocka_unit_test(steps_have_an_end),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
