/* SPDX-License-Identifier: MIT */
/*
 * Another proxy's settings: whatever their bytes are, they are refused with one
 * line, or what they become is a configuration that loads. The first byte says
 * which proxy's they are.
 */
#include "convert/convert.h"
#include "fuzz.h"
#include "policy/load.h"
#include "yaml/yaml.h"

#include <stdlib.h>
#include <string.h>

static const struct yaml_node *find(const struct yaml_node *map, struct slice key)
{
	const struct yaml_node *node = map->first;

	while (node != NULL && !slice_equal(node->key, key)) {
		node = node->next;
	}
	return node;
}

static void load_policies(const struct yaml_node *policies)
{
	struct policy_set *set = policy_set_new();
	struct policy *policy = NULL;
	char error[FAULT_MAX] = "";

	for (const struct yaml_node *body = policies->first; body != NULL; body = body->next) {
		int code = policy_load(set, body->key, body, &policy, error);
		ASSERT(code == 0);
		code = policy_compile(policy, error);
		ASSERT(code == 0);
	}
	policy_set_free(set);
}

/* What was printed loads, unless it is bigger than a configuration may be. */
static void load(struct slice text)
{
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;
	char error[FAULT_MAX] = "";

	if (text.len <= YAML_SIZE_MAX / 2) {
		const int code = yaml_read(text, "converted.yaml", &arena, &root, error);
		ASSERT(code == 0 && root->kind == YAML_MAP);
		const struct yaml_node *listeners = find(root, SLICE("listeners"));
		const struct yaml_node *policies = find(root, SLICE("policies"));
		ASSERT(listeners != NULL && listeners->kind == YAML_LIST);
		ASSERT(policies != NULL && policies->kind == YAML_MAP);
		load_policies(policies);
	}
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = NULL;
	size_t text_len = 0;
	char error[FAULT_MAX];
	FILE *output = open_memstream(&text, &text_len);
	FILE *warnings = fopen("/dev/null", "we");

	ASSERT(output != NULL && warnings != NULL);
	if (len > 0) {
		const struct convert_order order = {
		        .source = bytes[0] % CONVERT_SOURCE_COUNT, .file = "fuzz"};
		const struct slice given = {(const char *)bytes + 1, len - 1};
		const int code = convert_bytes(&order, given, output, warnings, error);
		(void)fflush(output);
		if (code == 0) {
			load((struct slice){text, text_len});
		} else {
			ASSERT(text_len == 0);
			ASSERT(error[0] != '\0' && strchr(error, '\n') == NULL);
		}
	}
	(void)fclose(output);
	(void)fclose(warnings);
	free(text);
	return 0;
}
