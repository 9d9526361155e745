/* SPDX-License-Identifier: MIT */
/*
 * look — the checks that look into a request. Private to gate/.
 */
#ifndef GATE_LOOK_H
#define GATE_LOOK_H

#include "gate/gate.h"

/* The proxy responds itself. `reason`: a literal, more exact than the outcome's text; or NULL. */
void gate_respond(struct gate_decision *decision, enum outcome outcome, const char *reason);

/*
 * The policy, whose rules allow the request, has `inspection` for it: look up the objects that the
 * request names, rewrite query and path for the scope, judge query and body by the block.
 */
void gate_look_inside(const struct gate_config *config, const struct inspection *inspection,
        const struct gate_question *question, struct gate_scratch *scratch,
        struct gate_decision *decision);

#endif
