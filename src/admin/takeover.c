/* SPDX-License-Identifier: MIT */
/*
 * takeover — POST /api/takeover: another process of the program asks for the listening sockets.
 *
 * Whoever has them serves the clients of this process. So the file's mode is not enough: the
 * process at the other end must be root's or this one's user's, as the kernel says it
 * (SO_PEERCRED), and a TCP connection is never answered.
 */
#include "admin/internal.h"
#include "takeover/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The process that asks, if it may. */
static bool find_peer(const struct admin_connection *connection, struct ucred *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	return getsockopt(connection->stream.watch.fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) ==
	               0 &&
	       (ret_peer->uid == 0 || ret_peer->uid == geteuid());
}

/* What is wrong with the question: its status, or 0. */
static unsigned find_fault(const struct admin_connection *connection,
        const struct http_request *question, struct ucred *ret_peer, const char **ret_message)
{
	const struct admin_settings *settings = &connection->admin->settings;
	const enum http_error site = http_check_site(question, false);

	if (settings->is_guarded || settings->hand_over == NULL) {
		*ret_message = "listening sockets are handed over through a unix socket alone";
		return 403;
	}
	if (site != HTTP_OK) {
		*ret_message = http_error_text(site);
		return http_error_status(site);
	}
	if (!find_peer(connection, ret_peer)) {
		*ret_message = "listening sockets are handed over to root and to the user of this "
		               "process alone";
		return 403;
	}
	if (!slice_equal(question->method, SLICE("POST")) || http_has_body(question)) {
		*ret_message = "the method must be POST, without a body";
		return 400;
	}
	if (!slice_equal(question->head.upgrade, SLICE(TAKEOVER_PROTOCOL))) {
		*ret_message = "this version hands over by Upgrade: " TAKEOVER_PROTOCOL;
		return 426;
	}
	return 0;
}

enum admin_next admin_take_over(
        struct admin_connection *connection, const struct http_request *question, bool alone)
{
	const struct admin_settings *settings = &connection->admin->settings;
	struct ucred peer = {.pid = 0};
	const char *message = "nothing may follow the head before the response";
	unsigned status = alone ? find_fault(connection, question, &peer, &message) : 400;

	connection->keep = false;
	if (status == 0) {
		const int fd = fcntl(connection->stream.watch.fd, F_DUPFD_CLOEXEC, 0);
		message = "there is no descriptor left";
		status = fd < 0 ? 503
		                : settings->hand_over(settings->context, fd, peer.pid, &message);
	}
	if (status != 0) {
		return admin_refuse(connection, status, message);
	}
	/* The copy keeps the connection open, and with it what epoll(7) knows of this descriptor.
	 */
	loop_remove(connection->admin->loop, &connection->stream.watch);
	return ADMIN_CLOSE;
}

int admin_socket(const struct admin *admin)
{
	return admin == NULL ? -1 : admin->watch.fd;
}

void admin_hand_over(struct admin *admin)
{
	if (admin == NULL || admin->handed) {
		return;
	}
	admin->handed = true;
	timer_stop(&admin->pause);
	loop_remove(admin->loop, &admin->watch);
	(void)close(admin->watch.fd);
	admin->watch.fd = -1;
	struct list *at = admin->connections.next;
	while (at != &admin->connections) {
		struct admin_connection *connection =
		        CONTAINER_OF(at, struct admin_connection, link);
		at = at->next;
		if (connection->state == ADMIN_IDLE) {
			admin_close(connection);
		}
	}
}
