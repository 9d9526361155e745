/* SPDX-License-Identifier: MIT */
/* clients — the clients of a configuration, as `check` prints them. Private to explain/. */
#ifndef EXPLAIN_CLIENTS_H
#define EXPLAIN_CLIENTS_H

#include "config/config.h"

/* A line for each: by what it is known, and its policy. */
/* The limits of clients whose entries have no others, and of all together. */
void explain_list_limits(const struct config *config);
void explain_list_clients(const struct config *config);
/* Tables of clients and what each may do, noun by noun; the last columns are the listeners. */
void explain_tabulate_clients(const struct config *config);

#endif
