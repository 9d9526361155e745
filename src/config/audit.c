/* SPDX-License-Identifier: MIT */
/*
 * The audit record: the key `audit` of the file, and AUDIT, which replaces its path.
 */
#include "config/options.h"

#include <errno.h>

#define PATH_WANTED                                                                                \
	"the absolute path of a file, - for standard output, unix:///PATH or syslog:///dev/log"

static const struct yaml_shape path_shape = {.words = PATH_WANTED};
static const struct yaml_shape failure_shape = {
        .words = "what becomes of requests whose record cannot be written",
        .choices = "continue deny"};
static const struct yaml_shape chain_shape = {
        .words = "each line has the hash of the one before", .choices = "true false"};

struct audit_reader {
	struct reader *reader;
	struct config_audit *audit; /* that of the file */
};

static int read_path(void *context, const struct yaml_node *node)
{
	struct audit_reader *file = context;

	if (yaml_expect(node, YAML_TEXT, PATH_WANTED, file->reader->error) < 0) {
		return -EINVAL;
	}
	const char *problem = trail_read_target(node->text.ptr, &file->audit->target);
	file->audit->place = node->place;
	return problem == NULL
	               ? 0
	               : fault_set(file->reader->error, node->place, "path: %s is not accepted: %s",
	                         yaml_found(node).text, problem);
}

/* Whether it is the second of two words. */
static int read_word(struct audit_reader *file, const struct yaml_node *node, const char *words[2],
        bool *ret_second)
{
	const bool is_text = node->kind == YAML_TEXT;

	*ret_second = is_text && slice_equal(node->text, slice_of(words[1]));
	if (*ret_second || (is_text && slice_equal(node->text, slice_of(words[0])))) {
		return 0;
	}
	return fault_set(file->reader->error, node->place, "'%.*s' is %s or %s; found %s",
	        SLICE_FMT(node->key), words[0], words[1], yaml_found(node).text);
}

static int read_failure(void *context, const struct yaml_node *node)
{
	struct audit_reader *file = context;
	const char *words[] = {"continue", "deny"};

	return read_word(file, node, words, &file->audit->denies);
}

static int read_chain(void *context, const struct yaml_node *node)
{
	struct audit_reader *file = context;
	const char *words[] = {"false", "true"};

	return read_word(file, node, words, &file->audit->chained);
}

static const struct yaml_key audit_keys[] = {
        {"path", read_path, &path_shape},
        {"on_failure", read_failure, &failure_shape},
        {"chain", read_chain, &chain_shape},
};

const struct yaml_shape config_audit_shape = {
        YAML_KEYS(audit_keys),
        .words = "the audit record",
        .name = "audit",
        .required = "path",
};

int config_read_audit_map(struct reader *reader, const struct yaml_node *map)
{
	struct config_audit *given = &reader->config->audit;
	struct config_audit audit = {.option = "audit.path"};
	struct audit_reader file = {.reader = reader, .audit = &audit};

	if (yaml_read_map(map, &config_audit_shape, &file, reader->error) < 0) {
		return -EINVAL;
	}
	if (given->target.kind == TRAIL_NOWHERE && audit.target.kind == TRAIL_NOWHERE) {
		return fault_set(reader->error, map->place, "'audit' needs a 'path': " PATH_WANTED);
	}
	if (given->target.kind == TRAIL_NOWHERE) {
		*given = audit;
	} else {
		/* AUDIT gives another path: what else the file says stays. */
		given->denies = audit.denies;
		given->chained = audit.chained;
		given->place = map->place;
	}
	return 0;
}

int config_check_audit(struct reader *reader)
{
	const struct config *config = reader->config;
	const struct config_audit *audit = &config->audit;

	if (audit->target.kind == TRAIL_OUTPUT && config->verb == CONFIG_LEARN) {
		return fault_set(reader->error, audit->place,
		        "%s: '-' is standard output, to which 'learn' prints the policy: give a "
		        "file",
		        audit->option);
	}
	return 0;
}
