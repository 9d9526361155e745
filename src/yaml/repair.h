/* SPDX-License-Identifier: MIT */
/*
 * repair — quotes where people leave them out. Private to yaml/.
 *
 *     - allow: {methods: [GET], path: /plugins/[a-z]+/json}
 *
 * is no YAML: within braces an unquoted text ends at a bracket. There is one
 * thing that it can mean, so it is tried with quotes where the file as it is
 * cannot be read; a file that can be read is never touched.
 */
#ifndef YAML_REPAIR_H
#define YAML_REPAIR_H

#include "base/text.h"

/* Write `bytes` with quotes around such paths, line by line; false when there are none. */
bool yaml_repair(struct slice bytes, struct text *text) __attribute__((warn_unused_result));

#endif
