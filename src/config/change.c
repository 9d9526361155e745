/* SPDX-License-Identifier: MIT */
/* What a running program cannot change, and the files that a reload reads. */
#include "config/config.h"

#include "config/options.h"

#include <errno.h>

/* ── START options ───────────────────────────────────────────────────────── */

/* One setting, before and after. */
struct change {
	const struct config_option *option;
	const struct config *former, *next;
	char *error;
};

static const void *member_of(const struct config *config, const struct config_option *option)
{
	return (const char *)config + option->member;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *shown(const char *value)
{
	return value == NULL ? "" : value;
}

#define ONLY_A_START "restart the program for it"

static int differs(const struct change *change, const char *former, const char *next)
{
	return fault_set(change->error, NOWHERE, "%s changes from '%s' to '%s': " ONLY_A_START,
	        change->option->variable, text_show(slice_of(shown(former))).text,
	        text_show(slice_of(shown(next))).text);
}

static int check_number(const struct change *change)
{
	const unsigned former = *(const unsigned *)member_of(change->former, change->option);
	const unsigned next = *(const unsigned *)member_of(change->next, change->option);
	char memory[2][16];
	struct text texts[2] = {text_over(memory[0], sizeof(memory[0]) - 1),
	        text_over(memory[1], sizeof(memory[1]) - 1)};

	if (former == next) {
		return 0;
	}
	text_add_u64(&texts[0], former);
	text_add_u64(&texts[1], next);
	memory[0][texts[0].len] = memory[1][texts[1].len] = '\0';
	return differs(change, memory[0], memory[1]);
}

static int check_switch(const struct change *change)
{
	const bool former = *(const bool *)member_of(change->former, change->option);
	const bool next = *(const bool *)member_of(change->next, change->option);

	return former == next ? 0 : differs(change, former ? "1" : "0", next ? "1" : "0");
}

static int check_text(const struct change *change)
{
	const char *former = *(const char *const *)member_of(change->former, change->option);
	const char *next = *(const char *const *)member_of(change->next, change->option);

	return same_text(former, next) ? 0 : differs(change, former, next);
}

static int check_secret(const struct change *change)
{
	const char *former = *(const char *const *)member_of(change->former, change->option);
	const char *next = *(const char *const *)member_of(change->next, change->option);

	return same_text(former, next)
	               ? 0
	               : fault_set(change->error, NOWHERE, "the value of %s changes: " ONLY_A_START,
	                         change->option->variable);
}

static int check_format(const struct change *change)
{
	const bool former = change->former->log_format == LOG_JSON;
	const bool next = change->next->log_format == LOG_JSON;

	return former == next ? 0
	                      : differs(change, former ? "json" : "text", next ? "json" : "text");
}

/* A default file that is gone would open what it closed. One that has come is read. */
static int check_file(const struct change *change)
{
	const char *former = change->former->file;
	const char *next = change->next->file;

	if (former == NULL || same_text(former, next)) {
		return 0;
	}
	return next != NULL ? differs(change, former, next)
	                    : fault_set(change->error, NOWHERE,
	                              "%.512s is gone: without it everything would be allowed; put "
	                              "it back, or restart the program",
	                              former);
}

static const char *text_of(const struct config_engine *engine)
{
	return engine->text == NULL ? "none" : engine->text;
}

static const char *option_of(const struct config_engine *engine)
{
	return engine->option == NULL ? "engines" : engine->option;
}

/* The user and groups of the process were chosen by the former one's socket. */
static int check_engine(const struct change *change)
{
	const struct config_engine *former = &change->former->engine;
	const struct config_engine *next = &change->next->engine;

	if (same_text(former->path, next->path) && same_text(former->host, next->host) &&
	        former->port == next->port && former->is_tls == next->is_tls) {
		return 0;
	}
	return fault_set(change->error, NOWHERE,
	        "the Engine's address changes from '%s' (%s) to '%s' (%s): " ONLY_A_START,
	        text_of(former), option_of(former), text_of(next), option_of(next));
}

static bool same_tls(const struct tls_settings *a, const struct tls_settings *b)
{
	bool same = a->pair_count == b->pair_count && a->optional == b->optional &&
	            same_text(a->ca, b->ca) && same_text(a->crl, b->crl);

	for (unsigned i = 0; same && i < a->pair_count; i++) {
		same = same_text(a->pairs[i].cert, b->pairs[i].cert) &&
		       same_text(a->pairs[i].key, b->pairs[i].key);
	}
	return same;
}

static bool same_keys(const struct config_admin *a, const struct config_admin *b)
{
	bool same = a->key_count == b->key_count;

	for (unsigned i = 0; same && i < a->key_count; i++) {
		same = key_hash_equal(&a->keys[i], &b->keys[i]);
	}
	return same;
}

/* Its socket is open, and it holds the settings of the start. */
static int check_admin(const struct change *change)
{
	const struct config_admin *former = &change->former->admin;
	const struct config_admin *next = &change->next->admin;

	if (!same_text(former->listener.address, next->listener.address)) {
		return differs(change, former->listener.address, next->listener.address);
	}
	return former->listener.mode == next->listener.mode && same_keys(former, next) &&
	                       same_tls(&former->listener.tls, &next->listener.tls)
	               ? 0
	               : fault_set(change->error, next->listener.place,
	                         "'admin' changes: " ONLY_A_START);
}

/* The sandbox was entered with the folder, and places for records were made. */
static int check_audit(const struct change *change)
{
	const struct config_audit *former = &change->former->audit;
	const struct config_audit *next = &change->next->audit;

	if (!same_text(former->target.text, next->target.text)) {
		return differs(change, former->target.text, next->target.text);
	}
	return former->denies == next->denies && former->chained == next->chained
	               ? 0
	               : fault_set(change->error, next->place, "'audit' changes: " ONLY_A_START);
}

/* By the type of the option; NULL: options of this type are LIVE, or compared elsewhere. */
static int (*const checks[])(const struct change *change) = {
        [OPTION_FILE] = check_file,
        [OPTION_TEXT] = check_text,
        [OPTION_SWITCH] = check_switch,
        [OPTION_SOCKET] = check_engine,
        [OPTION_DOCKER_HOST] = check_engine,
        [OPTION_SECRET] = check_secret,
        [OPTION_NUMBER] = check_number,
        [OPTION_LOG_FORMAT] = check_format,
        [OPTION_ADMIN] = check_admin,
        [OPTION_AUDIT] = check_audit,
};

int config_check_change(
        const struct config *former, const struct config *next, char error[FAULT_MAX])
{
	for (unsigned i = 0; i < CONFIG_OPTION_COUNT; i++) {
		const struct config_option *option = &config_options[i];
		struct change change = {.option = option, .former = former, .next = next};
		change.error = error;
		if (option->change != OPTION_START || option->type >= ARRAY_LEN(checks) ||
		        checks[option->type] == NULL) {
			continue;
		}
		if (checks[option->type](&change) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* ── Files ───────────────────────────────────────────────────────────────── */

static void see_tls(const struct tls_settings *settings,
        void (*see)(void *context, const char *file), void *context)
{
	const char *const more[] = {settings->ca, settings->crl};

	for (unsigned i = 0; i < settings->pair_count; i++) {
		see(context, settings->pairs[i].cert);
		see(context, settings->pairs[i].key);
	}
	for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
		if (more[i] != NULL) {
			see(context, more[i]);
		}
	}
}

void config_each_file(
        const struct config *config, void (*see)(void *context, const char *file), void *context)
{
	if (config->file != NULL) {
		see(context, config->file);
	}
	if (config->keys_file != NULL) {
		see(context, config->keys_file);
	}
	for (unsigned i = 0; i < config->listener_count; i++) {
		see_tls(&config->listeners[i].tls, see, context);
	}
	see_tls(&config->admin.listener.tls, see, context);
	for (unsigned i = 0; i < config->engine_count; i++) {
		see_tls(&config_engine_at(config, i)->tls, see, context);
	}
}
