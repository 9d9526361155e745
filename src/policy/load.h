/* SPDX-License-Identifier: MIT */
/*
 * load — policies as they are written in YAML.
 *
 *     description: what it grants        (presets)
 *     costs: what that may cost          (presets)
 *     extends: [read-only]
 *     mode: enforce                      or observe
 *     rules:
 *       - deny: [container.attach_ws]
 *       - allow: {operations: [plugin.*], methods: [GET], path: '/plugins/[a-z]+/json'}
 */
#ifndef POLICY_LOAD_H
#define POLICY_LOAD_H

#include "policy/policy.h"
#include "policy/presets.h"
#include "yaml/yaml.h"

/* Read the map `body` as policy `name`; not compiled. -EINVAL with a message in `error`. */
int policy_load(struct policy_set *set, struct slice name, const struct yaml_node *body,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* The same of a preset's text. */
int policy_load_preset(struct policy_set *set, const struct policy_preset *preset,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

#endif
