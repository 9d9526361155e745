/* SPDX-License-Identifier: MIT */
/* read — names of Engines in the file, and sets of them: `engines: [node-a, web]`, `engines: "*"`.
 */
#ifndef ENGINES_READ_H
#define ENGINES_READ_H

#include "engines/engines.h"
#include "yaml/yaml.h"

extern const struct yaml_shape engine_name_shape;
extern const struct yaml_shape engine_set_shape;

/* Read the name of an Engine that there is. 0; or -EINVAL and `error`. */
int engine_name_read(const struct yaml_node *node, const struct engines *engines,
        unsigned *ret_engine, char error[FAULT_MAX]) MUST_USE;
/* Read a set, into `arena`. `engines` NULL: the file has none, and it is a fault. */
int engine_set_read(const struct yaml_node *node, const struct engines *engines,
        struct arena *arena, const struct engine_set **ret_set, char error[FAULT_MAX]) MUST_USE;

#endif
