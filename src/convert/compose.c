/* SPDX-License-Identifier: MIT */
#include "convert/compose.h"

#include "yaml/yaml.h"

#include <errno.h>

/* Compose replaces $NAME and ${NAME}, whose values are unknown here; $$ is a dollar. */
static int resolve(struct input *input, struct slice s, struct place place, struct slice *ret_value)
{
	struct text text = text_over(check_memory(arena_take(input->arena, s.len + 1)), s.len);

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '$' && i + 1 < s.len) {
			const char next = s.ptr[i + 1];
			if (next == '{' || (input_is_name_char(next) && !ascii_is_digit(next))) {
				return fault_set(input->error, place,
				        "'%s' has a variable that compose replaces: give the "
				        "output of "
				        "'docker compose config'",
				        text_show(s).text);
			}
			i += next == '$';
		}
		text_add_char(&text, s.ptr[i]);
	}
	*ret_value = text_slice(&text);
	return 0;
}

/* `environment` and `labels`: a map, or a list of NAME=value. */
static int read_pairs(struct input *input, enum setting_kind kind, const struct yaml_node *pairs,
        struct draft *draft)
{
	const struct yaml_node *node = pairs == NULL ? NULL : pairs->first;

	if (pairs != NULL && pairs->kind == YAML_TEXT && pairs->text.len > 0) {
		return fault_set(input->error, pairs->place,
		        "'%s' is a map or a list of NAME=value; found '%s'", pairs->key.ptr,
		        text_show(pairs->text).text);
	}
	for (; node != NULL; node = node->next) {
		struct slice value = node->text;
		struct slice name = node->key;
		if (node->kind != YAML_TEXT) {
			return fault_set(input->error, node->place, "a value is not text");
		}
		if (pairs->kind == YAML_LIST) {
			(void)slice_next(&value, '=', &name);
		}
		if (kind == SETTING_VARIABLE && value.ptr == NULL) {
			draft_say(draft, DRAFT_LOST,
			        "line %u: %.*s has no value here: compose takes the value from its "
			        "own "
			        "environment. The variable counts as not set.",
			        node->place.line, SLICE_FMT(name));
			continue;
		}
		value = value.ptr == NULL ? SLICE("") : value;
		if (resolve(input, value, node->place, &value) < 0 ||
		        input_add(input, kind, name, value, node->place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_command(struct input *input, const struct yaml_node *command)
{
	struct slice value = {NULL, 0};

	if (command == NULL) {
		return 0;
	}
	if (command->kind == YAML_TEXT &&
	        (resolve(input, command->text, command->place, &value) < 0 ||
	                input_add_flags(input, value, command->place) < 0)) {
		return -EINVAL;
	}
	for (const struct yaml_node *word = command->first; word != NULL; word = word->next) {
		if (word->kind != YAML_TEXT) {
			return fault_set(input->error, word->place, "'command' is a list of words");
		}
		if (resolve(input, word->text, word->place, &value) < 0 ||
		        input_add_flag(input, value, word->place) < 0) {
			return -EINVAL;
		}
	}
	return input_end_flags(input);
}

static int read_service(struct input *input, const struct yaml_node *service, struct draft *draft)
{
	static const char *const elsewhere[] = {"env_file", "extends"};

	for (unsigned i = 0; i < ARRAY_LEN(elsewhere); i++) {
		const struct yaml_node *node = yaml_find(service, elsewhere[i]);
		if (node != NULL) {
			draft_say(draft, DRAFT_LOST,
			        "line %u: the settings that '%s' adds are not read; give the "
			        "output of "
			        "'docker compose config'.",
			        node->place.line, elsewhere[i]);
		}
	}
	if (read_pairs(input, SETTING_VARIABLE, yaml_find(service, "environment"), draft) < 0) {
		return -EINVAL;
	}
	return read_command(input, yaml_find(service, "command"));
}

/* ── Which service ───────────────────────────────────────────────────────── */

/* By its name if one is given, otherwise by its image. */
static bool is_wanted(const struct input *input, const struct yaml_node *service)
{
	const struct yaml_node *image = yaml_find(service, "image");

	if (input->service != NULL) {
		return slice_equal(service->key, slice_of(input->service));
	}
	return image != NULL && image->kind == YAML_TEXT &&
	       memmem(image->text.ptr, image->text.len, input->image, strlen(input->image)) != NULL;
}

static int choose_service(
        struct input *input, const struct yaml_node *services, const struct yaml_node **ret_service)
{
	char memory[512];
	struct text names = text_over(memory, sizeof(memory) - 1);
	unsigned found = 0;

	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		text_add_format(&names, "%s%.*s", node == services->first ? "" : ", ",
		        SLICE_FMT(node->key));
		if (is_wanted(input, node)) {
			*ret_service = node;
			found++;
		}
	}
	memory[names.len] = '\0';
	if (found != 1) {
		return fault_set(input->error, services->place,
		        "%s service %s %s: there are %s; choose one with --service NAME",
		        found == 0 ? "no" : "more than one",
		        input->service != NULL ? "is called" : "has an image",
		        input->service != NULL ? input->service : input->image,
		        names.len > 0 ? memory : "none");
	}
	input->service = (*ret_service)->key.ptr;
	return 0;
}

/* Of every service: wollomatic's proxy reads the labels of its clients. */
static int read_labels(struct input *input, const struct yaml_node *services, struct draft *draft)
{
	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		const unsigned before = input->count;
		if (read_pairs(input, SETTING_LABEL, yaml_find(node, "labels"), draft) < 0) {
			return -EINVAL;
		}
		for (unsigned i = before; i < input->count; i++) {
			input->settings[i].service = node->key.ptr;
		}
	}
	return 0;
}

int compose_read(struct input *input, struct slice bytes, struct draft *draft)
{
	const struct yaml_node *root = NULL;
	const struct yaml_node *service = NULL;

	if (yaml_read(bytes, input->file, input->arena, &root, input->error) < 0) {
		return -EINVAL;
	}
	const struct yaml_node *services = yaml_find(root, "services");
	if (root->kind != YAML_MAP || (services != NULL && services->kind != YAML_MAP)) {
		return fault_set(input->error, services != NULL ? services->place : root->place,
		        "expected a compose file with services, lines of NAME=value%s",
		        input->takes_rules ? ", flags or rules" : " or flags");
	}
	services = services != NULL ? services : root;
	if (choose_service(input, services, &service) < 0) {
		return -EINVAL;
	}
	ASSERT(service != NULL);
	return read_service(input, service, draft) < 0 ? -EINVAL
	                                               : read_labels(input, services, draft);
}
