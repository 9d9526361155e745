/* SPDX-License-Identifier: MIT */
/*
 * stage — a worker all of whose clients and Engine connections are scripts, and
 * whose time passes when the test says so.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include "script.h"

#include "session/worker.h"

struct stage {
	struct script_net net;
	struct worker_shared shared;
	struct snapshot_engine engines[3]; /* the default one, and members for stage_group() */
	struct snapshot snapshot;
	struct policy_set *policies;
	struct policy *policy;
	struct worker *worker;
};

/* Once, since that takes long: a policy with what is allowed, a list that NULL ends. */
void stage_allow(struct stage *stage, const char *const *operations);
void stage_init(struct stage *stage);
/* Every session must have ended, and what it borrowed must be home. */
void stage_done(struct stage *stage);
/* The end of stage_allow(). */
void stage_forget(struct stage *stage);

/* The default Engine is a group of the two others from now on. */
void stage_group(struct stage *stage);
/* A client connects. */
struct script *stage_client(struct stage *stage);
/* The newest connection to the Engine; NULL: there is none yet. */
struct script *stage_engine(struct stage *stage);
/* Finish the turn, and further ones as long as somebody wants to go on. */
void stage_turn(struct stage *stage);
void stage_pass(struct stage *stage, int64_t ns);
bool stage_is_empty(const struct stage *stage);

#endif
