/* SPDX-License-Identifier: MIT */
/* compose — the settings of a service in a compose file. Private to convert/. */
#ifndef CONVERT_COMPOSE_H
#define CONVERT_COMPOSE_H

#include "convert/draft.h"
#include "convert/input.h"

/*
 * Add the environment and the command of one service, and the labels of all services. The service
 * is the one that input->service names; if that is NULL, the one with input->image. input->service
 * becomes its name. 0, or -EINVAL with a message in input->error, also if there is no such service.
 */
int compose_read(struct input *input, struct slice bytes, struct draft *draft) MUST_USE;

#endif
