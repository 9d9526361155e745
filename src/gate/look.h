/* SPDX-License-Identifier: MIT */
/*
 * look — the checks that look into a request. Private to gate/.
 */
#ifndef GATE_LOOK_H
#define GATE_LOOK_H

#include "gate/gate.h"

/* The proxy responds itself. `reason`: a literal, more exact than the outcome's text; or NULL. */
void gate_respond(struct gate_decision *decision, enum outcome outcome, const char *reason);

/* Which Engine the request means, and the path for it; false: the decision is made. There are
 * several Engines. */
bool gate_choose_engine(const struct gate_config *config, const struct gate_question *question,
        struct gate_decision *decision, struct slice *ret_path);
/* Whether who sent it may use that Engine, by the policy that judges it; false: the decision is
 * made. There are several Engines. */
bool gate_permit(const struct gate_config *config, struct gate_decision *decision);
/* The client may not use the Engine, or the request names none; the response does not tell whether
 * there is one of that name. */
void gate_deny_engine(struct gate_decision *decision);
/* The same as gate_permit() for each Engine, into the scratch; false: the decision is made, or
 * needs more. */
bool gate_list_engines(const struct gate_config *config, struct gate_scratch *scratch,
        struct gate_decision *decision);

/*
 * The policy, whose rules allow the request, has `inspection` for it: look up the objects that the
 * request names, rewrite query and path for the scope, judge query and body by the block.
 */
void gate_look_inside(const struct gate_config *config, const struct inspection *inspection,
        const struct gate_question *question, struct gate_scratch *scratch,
        struct gate_decision *decision);

#endif
