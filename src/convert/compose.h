/* SPDX-License-Identifier: MIT */
/* compose — the settings of a service in a compose file. Private to convert/. */
#ifndef CONVERT_COMPOSE_H
#define CONVERT_COMPOSE_H

#include "convert/draft.h"
#include "convert/input.h"

/*
 * Add the environment and the command of the one service that input->service names or that has
 * input->image, and the labels of all; input->service becomes its name. 0, or -EINVAL with a
 * message in input->error: where there is no such service, too.
 */
int compose_read(struct input *input, struct slice bytes, struct draft *draft) MUST_USE;

#endif
