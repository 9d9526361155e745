/* SPDX-License-Identifier: MIT */
/*
 * dashboard — the page of the admin listener, with its style and script, as the program carries it.
 *
 * It is static and tells nothing of this proxy: its script asks for that, with the key of its user.
 * tools/embed-dashboard.py writes it at build time from dashboard/.
 */
#ifndef ADMIN_DASHBOARD_H
#define ADMIN_DASHBOARD_H

#include <stddef.h>

extern const char dashboard_page[];
extern const size_t dashboard_page_len;
/* Its Content-Security-Policy, with the hashes of style and script. */
extern const char dashboard_policy[];

#endif
