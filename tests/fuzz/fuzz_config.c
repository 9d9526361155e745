/* SPDX-License-Identifier: MIT */
/*
 * A configuration file: whatever its bytes are, it is read or refused with one
 * line that names the file, and a policy it makes can judge.
 */
#include "fuzz.h"
#include "policy/load.h"
#include "yaml/yaml.h"

#include <string.h>

static void check_message(const char *error)
{
	const size_t len = strnlen(error, FAULT_MAX);

	ASSERT(len < FAULT_MAX);
	ASSERT(strncmp(error, "fuzz.yaml:", strlen("fuzz.yaml:")) == 0 || error[0] != '\0');
	ASSERT(strchr(error, '\n') == NULL);
}

static void judge_everything(const struct policy *policy)
{
	static struct docker_request request;
	struct policy_scratch *scratch = policy_scratch_new();

	request.method = SLICE("GET");
	request.bare = SLICE("/containers/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!/json");
	request.path = request.bare;
	for (unsigned id = 0; id < docker_id_count(); id += 7) {
		request.id = request.served_id = id;
		const struct verdict verdict = policy_judge(policy, &request, scratch);
		ASSERT(verdict.policy != NULL);
		ASSERT(verdict.allowed || !verdict.observed);
	}
	policy_scratch_free(scratch);
}

/* Each key of the root is the body of a policy of that name. */
static void load_all(const struct yaml_node *root, char error[FAULT_MAX])
{
	struct policy_set *set = policy_set_new();
	struct policy *policy = NULL;

	for (const struct yaml_node *body = root->first; body != NULL; body = body->next) {
		if (policy_load(set, body->key, body, &policy, error) < 0 ||
		        policy_compile(policy, error) < 0) {
			check_message(error);
			break;
		}
		judge_everything(policy);
	}
	policy_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;
	char error[FAULT_MAX] = "";

	if (yaml_read((struct slice){(const char *)bytes, len}, "fuzz.yaml", &arena, &root, error) <
	        0) {
		check_message(error);
	} else if (root->kind == YAML_MAP) {
		load_all(root, error);
	}
	arena_free(&arena);
	return 0;
}
