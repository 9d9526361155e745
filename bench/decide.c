/* SPDX-License-Identifier: MIT */
/*
 * decide — what routing and judging a request costs, in one process and with
 * nothing around it.
 *
 *   decide [ROUNDS]
 *   decide --rules     print the policy
 *
 * Forty rules, eight of them path patterns that concern other operations than
 * most requests have; the last rule allows what is asked, so that every rule in
 * front of it was in the way. Prints nanoseconds for a request: routed, judged,
 * both; the best of several rounds, for whatever disturbs only adds.
 */
#include "base/clock.h"
#include "docker/docker.h"
#include "policy/load.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPEATS = 20000, ROUNDS = 15 };

static const char rules[] = "rules:\n"
                            "  - deny: [container.attach_ws]\n"
                            "  - deny: {path: '/containers/db-[0-9]+/.*', methods: [DELETE, PUT]}\n"
                            "  - deny: {path: '/images/internal/[a-z]+/push'}\n"
                            "  - deny: {path: '/plugins/.*'}\n"
                            "  - deny: {path: '/volumes/(?:backup|secret)-[^/]+'}\n"
                            "  - deny: {operations: ['*.remove'], path: '.*/protected-[a-z0-9]+'}\n"
                            "  - allow: {methods: [GET], path: '/networks/[0-9a-f]{12,64}'}\n"
                            "  - allow: {methods: [GET], path: '/services/[a-z]+/logs'}\n"
                            "  - allow: {methods: [GET], path: '/(?:tasks|nodes)/[a-z0-9]{25}'}\n";

static const char *const operations[] = {
        "swarm.inspect",
        "swarm.init",
        "swarm.join",
        "swarm.leave",
        "swarm.update",
        "node.list",
        "node.inspect",
        "node.update",
        "node.remove",
        "task.list",
        "task.inspect",
        "service.list",
        "service.inspect",
        "service.create",
        "service.update",
        "service.remove",
        "secret.*",
        "config.*",
        "plugin.*",
        "swarm.unlock",
        "volume.inspect",
        "volume.create",
        "volume.remove",
        "volume.prune",
        "network.create",
        "network.remove",
        "network.prune",
        "image.push",
        "image.tag",
        "image.remove",
};

struct ask {
	const char *name;
	const char *method;
	const char *path;
	const char *query;
	bool has_body;
};

static const struct ask asks[] = {
        {"ping", "GET", "/_ping", NULL, false},
        {"list", "GET", "/v1.41/containers/json", "all=1", false},
        {"inspect", "GET",
                "/v1.41/containers/"
                "0f3c5ff7a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c/json",
                NULL, false},
        {"create", "POST", "/v1.41/containers/create", "name=web", true},
        {"exec start", "POST", "/v1.41/exec/0f3c5ff7a1b2c3d4e5f60718293a4b5c/start", NULL, true},
        {"image, escaped", "GET", "/v1.41/images/docker.io%2Flibrary%2Fbusybox/json", NULL, false},
        {"remove", "DELETE", "/v1.41/containers/0f3c5ff7a1b2", "force=1", false},
        {"unknown", "GET", "/v1.41/nothing/at/all", NULL, false},
};

static void refuse(const char *error)
{
	(void)fprintf(stderr, "decide: %s\n", error);
	exit(EXIT_FAILURE);
}

static struct text write_rules(char *memory, size_t cap)
{
	struct text text = text_over(memory, cap);

	text_add(&text, slice_of(rules));
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		text_add_format(&text, "  - deny: ['%s']\n", operations[i]);
	}
	text_add(&text, SLICE("  - allow: ['*']\n"));
	return text;
}

static const struct policy *make_policy(struct policy_set *set)
{
	static char memory[8192];
	static char error[FAULT_MAX];
	const struct text text = write_rules(memory, sizeof(memory));
	struct arena arena = {.chunks = NULL};
	const struct yaml_node *root = NULL;
	struct policy *policy = NULL;

	if (yaml_read(text_slice(&text), "bench", &arena, &root, error) < 0 ||
	        policy_load(set, SLICE("bench"), root, &policy, error) < 0 ||
	        policy_compile(policy, error) < 0) {
		refuse(error);
	}
	arena_free(&arena);
	return policy;
}

static struct docker_target target_of(const struct ask *ask)
{
	return (struct docker_target){
	        .method = slice_of(ask->method),
	        .path = slice_of(ask->path),
	        .query = ask->query != NULL ? slice_of(ask->query) : (struct slice){NULL, 0},
	        .has_body = ask->has_body,
	};
}

/* ns for one; `judged` or not. */
static double measure(const struct ask *ask, const struct policy *policy,
        struct policy_scratch *scratch, bool judged, unsigned rounds)
{
	static struct docker_request request;
	double best = 1e9;

	for (unsigned round = 0; round < rounds; round++) {
		unsigned allowed = 0;
		const int64_t began_ns = clock_monotonic_ns();
		for (unsigned i = 0; i < REPEATS; i++) {
			struct docker_target target = target_of(ask);
			/* Nothing of it may be known to the compiler. */
			__asm__ volatile("" : "+m"(target) : : "memory");
			if (docker_route(&target, &request) != DOCKER_OK) {
				refuse(ask->path);
			}
			__asm__ volatile("" : "+m"(request) : : "memory");
			if (judged) {
				allowed += policy_judge(policy, &request, scratch).allowed;
			}
		}
		const double ns = (double)(clock_monotonic_ns() - began_ns) / REPEATS;
		best = ns < best ? ns : best;
		if (judged && allowed != REPEATS) {
			refuse("a request is denied that should have gone through all rules");
		}
	}
	return best;
}

static int print_rules(void)
{
	char memory[8192];
	const struct text text = write_rules(memory, sizeof(memory));

	printf("%.*s", (int)text.len, text.ptr);
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	uint64_t rounds = ROUNDS;
	double worst = 0;
	double sum = 0;

	if (argc > 1 && strcmp(argv[1], "--rules") == 0) {
		return print_rules();
	}
	if (argc > 1 && slice_to_u64(slice_of(argv[1]), 100000, &rounds) < 0) {
		refuse("usage: decide [ROUNDS | --rules]");
	}
	struct policy_set *set = policy_set_new();
	struct policy_scratch *scratch = policy_scratch_new();
	const struct policy *policy = make_policy(set);
	printf("decision with a policy of %zu rules, ns  routed  judged  both\n",
	        9 + ARRAY_LEN(operations) + 1);
	for (unsigned i = 0; i < ARRAY_LEN(asks); i++) {
		const double routed = measure(&asks[i], policy, scratch, false, (unsigned)rounds);
		const double both = measure(&asks[i], policy, scratch, true, (unsigned)rounds);
		printf("  %-38s %6.0f  %6.0f  %4.0f\n", asks[i].name, routed, both - routed, both);
		sum += both;
		worst = both > worst ? both : worst;
	}
	printf("  %-38s %20.0f\n  %-38s %20.0f\n", "mean", sum / ARRAY_LEN(asks), "worst", worst);
	policy_scratch_free(scratch);
	policy_set_free(set);
	return EXIT_SUCCESS;
}
