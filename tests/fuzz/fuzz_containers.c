/* SPDX-License-Identifier: MIT */
/*
 * What the kernel and the Engine say of containers. Input that begins with a brace is a document of
 * the Engine; other input is /proc/PID/cgroup. An id that is found is one, and stands in its path;
 * what is kept of a container is within its memory.
 */
#include "fuzz.h"

#include "containers/cgroup.h"
#include "containers/read.h"

#include <stdlib.h>

static void check_id(struct slice id)
{
	ASSERT(id.len == CONTAINER_ID_LEN);
	for (size_t i = 0; i < id.len; i++) {
		ASSERT(ascii_is_digit(id.ptr[i]) || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f'));
	}
}

static void fuzz_group(struct slice text)
{
	struct cgroup group;

	if (cgroup_find(text, &group)) {
		check_id(group.id);
		ASSERT(group.path.ptr >= text.ptr && group.path.len <= text.len);
		ASSERT(memchr(group.path.ptr, '\n', group.path.len) == NULL);
		ASSERT(memmem(group.path.ptr, group.path.len, group.id.ptr, group.id.len) != NULL);
	}
}

static void check_kept(const struct container *container, struct slice text)
{
	ASSERT(text.len == 0 || (text.ptr >= container->memory &&
	                                text.ptr + text.len <= container->memory + container->len));
}

static void check_container(const struct container *container)
{
	static struct container copy;

	ASSERT(container->len <= CONTAINER_TEXT_MAX);
	check_kept(container, container->id);
	check_kept(container, container->name);
	check_kept(container, container->image);
	ASSERT(container->label_count <= CONTAINER_LABELS_MAX);
	for (unsigned i = 0; i < container->label_count; i++) {
		check_kept(container, container->labels[i].name);
		check_kept(container, container->labels[i].value);
	}
	container_copy(&copy, container);
	check_kept(&copy, copy.id);
	ASSERT(slice_equal(copy.name, container->name));
	ASSERT(slice_equal(copy.image, container->image));
}

static void check_network(const struct network *network)
{
	ASSERT(network->family == AF_INET ? network->bits <= 32 : network->bits <= 128);
}

static void fuzz_document(const struct json_node *root)
{
	static struct inspected inspected;
	struct engine_network networks[4];
	struct network addresses[2];
	struct event event;

	if (read_inspected(root, &inspected)) {
		ASSERT(inspected.pid >= 0);
		ASSERT(inspected.container.id.len == CONTAINER_ID_LEN);
		check_container(&inspected.container);
	}
	if (read_event(root, &event)) {
		ASSERT(event.kind <= EVENT_NETWORKS);
	}
	for (unsigned i = read_networks(root, ARRAY_LEN(networks), networks); i > 0; i--) {
		check_network(&networks[i - 1].subnet);
	}
	const struct json_node *endpoints = read_endpoints(root);
	for (const struct json_node *node = endpoints == NULL ? NULL : json_first(endpoints);
	        node != NULL; node = json_next(endpoints, node)) {
		for (unsigned i = read_addresses(node, addresses); i > 0; i--) {
			check_network(&addresses[i - 1]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json_node nodes[JSON_NODES_MAX];
	static uint32_t marks[JSON_MARKS_MAX];
	static char strings[64 * 1024];
	const struct slice bytes = {(const char *)data, size};
	struct json_document document = {.nodes = nodes, .marks = marks, .strings = strings};

	if (size == 0 || data[0] != '{') {
		fuzz_group(bytes);
	} else if (size <= sizeof(strings) && json_read(&document, bytes) == JSON_OK) {
		fuzz_document(nodes);
	}
	return 0;
}
