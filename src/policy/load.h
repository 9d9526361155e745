/* SPDX-License-Identifier: MIT */
/*
 * load — reads policies from YAML.
 *
 *     description: what the preset is for                (presets)
 *     costs: what an attacker who controls the app can do (presets)
 *     extends: [read-only]
 *     mode: enforce                      or observe
 *     engines: [node-a]                  for which it is written; others are denied
 *     rules:
 *       - deny: [container.attach_ws]
 *       - allow: {operations: [plugin.*], methods: [GET], path: '/plugins/[a-z]+/json'}
 *     create: {bind_sources: [/srv/ci]}  what bodies may ask for; see inspect/keys.def
 *     exec: {privileged: false}
 *     build: any                         what a block of `extends` says does not hold
 */
#ifndef POLICY_LOAD_H
#define POLICY_LOAD_H

#include "policy/policy.h"
#include "policy/presets.h"
#include "yaml/yaml.h"

extern const struct yaml_shape policy_shape;

/* Read the map `body` as policy `name`, without compiling it. 0, or -EINVAL and `error`. */
int policy_load(struct policy_set *set, struct slice name, const struct yaml_node *body,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;
/* The same, from the text of a preset. */
int policy_load_preset(struct policy_set *set, const struct policy_preset *preset,
        struct policy **ret_policy, char error[FAULT_MAX]) MUST_USE;

#endif
