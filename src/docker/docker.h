/* SPDX-License-Identifier: MIT */
/*
 * docker — what a request means to the Engine.
 *
 * For now this is only what forwarding must know: which endpoints may turn a
 * connection into a raw byte stream.
 */
#ifndef DOCKER_DOCKER_H
#define DOCKER_DOCKER_H

#include "base/slice.h"

enum docker_hijack {
	DOCKER_HIJACK_NONE,
	DOCKER_HIJACK_ATTACH,     /* reads no body; answers 101, or 200 and a raw stream */
	DOCKER_HIJACK_EXEC_START, /* reads a JSON body; answers as attach does, or ordinarily */
	DOCKER_HIJACK_UPGRADE,    /* 101 or an ordinary answer: attach/ws, session, grpc */
};

/* `path` without the query, as sent: /v1.41/containers/x/attach. */
enum docker_hijack docker_hijack_of(struct slice method, struct slice path);

/* Whether a Content-Type says that a 200 on attach or exec start is a raw stream. */
bool docker_is_raw_stream(struct slice content_type);

#endif
