/* SPDX-License-Identifier: MIT */
#include "admin/internal.h"

#include "net/tls.h"

/* All are compared, whichever fits. */
static bool is_known(const struct admin_settings *settings, struct slice text)
{
	struct key key;
	bool known = false;

	key_present(text, &key);
	for (unsigned i = 0; i < settings->key_count; i++) {
		known = key_fits(&key, &settings->keys[i]) || known;
	}
	return known;
}

bool admin_may(const struct admin_connection *connection, const struct http_request *request)
{
	const struct admin_settings *settings = &connection->admin->settings;
	bool known = !settings->is_guarded;

	/* The transport has verified it: by authorities that are the admin listener's own. */
	if (settings->is_tls && tls_peer_certificate(&connection->stream) != NULL) {
		known = true;
	}
	for (unsigned i = 0; !known && i < request->head.field_count; i++) {
		const struct slice text = http_client_key(&request->head.fields[i]);
		known = text.ptr != NULL && is_known(settings, text);
	}
	return known;
}
