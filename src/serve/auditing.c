/* SPDX-License-Identifier: MIT */
/* The audit record: where the configuration wants it, and who watches it. */
#include "base/log.h"
#include "serve/internal.h"

/* In the writer's thread. */
static void tell_watchers(void *context)
{
	struct server *server = context;

	inbox_post(&server->threads[0]->inbox, INBOX_RECORDS, server);
}

void thread_records(struct thread *thread, void *message)
{
	struct server *server = message;

	(void)thread;
	admin_show_records(server->admin);
}

bool auditing_make(struct server *server)
{
	const struct config *config = server_config(server);
	const bool is_kept = config->audit.target.kind != TRAIL_NOWHERE;
	const struct trail_settings settings = {
	        .target = config->audit.target,
	        .denies = is_kept && config->audit.denies,
	        .chained = is_kept && config->audit.chained,
	        .queues_max = THREADS_MAX,
	        .metrics = server->shared.metrics,
	};

	if (!is_kept && config->admin.listener.address == NULL) {
		return true;
	}
	server->shared.trail = trail_new(&settings);
	return server->shared.trail != NULL;
}

bool auditing_start(struct server *server)
{
	const struct config *config = server_config(server);
	char memory[512];
	struct text why = text_over(memory, sizeof(memory));

	if (server->shared.trail == NULL) {
		return true;
	}
	trail_set_watcher(
	        server->shared.trail, tell_watchers, server, server->threads[0]->inbox.watch.fd);
	if (trail_start(server->shared.trail, &why) == 0) {
		return true;
	}
	log_line(LOG_CRIT, "%s: cannot write the audit record to '%.512s': %.*s",
	        config->audit.option != NULL ? config->audit.option : "ADMIN",
	        config->audit.target.text != NULL ? config->audit.target.text : "",
	        SLICE_FMT(text_slice(&why)));
	return false;
}
