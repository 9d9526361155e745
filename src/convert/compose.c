/* SPDX-License-Identifier: MIT */
/* A compose file: the environment, the command and the labels of a service. */
#include "convert/input.h"

#include <errno.h>

/* Compose replaces $NAME and ${NAME}, and writes $$ for a dollar; what it would put in is not
 * known. */
static int resolve(struct input *input, const struct yaml_node *node, struct slice *ret_value)
{
	struct text text = text_over(arena_take(input->arena, node->text.len + 1), node->text.len);
	const struct slice s = node->text;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '$' && i + 1 < s.len) {
			const char next = s.ptr[i + 1];
			if (next == '{' || (input_is_name_char(next) && !ascii_is_digit(next))) {
				return fault_set(input->draft->error, node->place,
				        "'%s' has a variable that compose replaces: give what "
				        "'docker compose config' prints",
				        text_show(s).text);
			}
			i += next == '$';
		}
		text_add_char(&text, s.ptr[i]);
	}
	*ret_value = text_slice(&text);
	return 0;
}

static int add_pair(struct input *input, enum setting_kind kind, struct slice name,
        const struct yaml_node *node, struct slice value)
{
	struct yaml_node half = *node;

	half.text = value;
	return resolve(input, &half, &value) < 0 ? -EINVAL
	                                         : input_add(input, kind, name, value, node->place);
}

/* `environment` and `labels`: a map, or a list of NAME=value. */
static int read_pairs(struct input *input, enum setting_kind kind, const struct yaml_node *pairs)
{
	const struct yaml_node *node = pairs == NULL ? NULL : pairs->first;

	if (pairs != NULL && pairs->kind == YAML_TEXT && pairs->text.len > 0) {
		return fault_set(input->draft->error, pairs->place,
		        "'%s' is a map or a list of NAME=value; found '%s'", pairs->key.ptr,
		        text_show(pairs->text).text);
	}
	for (; node != NULL; node = node->next) {
		struct slice value = node->text;
		struct slice name = node->key;
		if (node->kind != YAML_TEXT) {
			return fault_set(input->draft->error, node->place, "a value is not text");
		}
		if (pairs->kind == YAML_LIST) {
			(void)slice_next(&value, '=', &name);
		}
		if (kind == SETTING_VARIABLE && value.ptr == NULL) {
			draft_say(input->draft, DRAFT_LOST,
			        "line %u: %.*s has no value here; compose takes it from where it "
			        "runs. It counts as not set.",
			        node->place.line, SLICE_FMT(name));
			continue;
		}
		if (value.ptr == NULL) {
			value = SLICE("");
		}
		if (add_pair(input, kind, name, node, value) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_command(struct input *input, const struct yaml_node *command)
{
	struct words *words = arena_take(input->arena, sizeof(*words));
	struct slice value = {NULL, 0};

	if (command == NULL) {
		return 0;
	}
	if (command->kind == YAML_TEXT &&
	        (resolve(input, command, &value) < 0 ||
	                input_add_line(input, words, value, command->place) < 0)) {
		return -EINVAL;
	}
	for (const struct yaml_node *word = command->first; word != NULL; word = word->next) {
		if (word->kind != YAML_TEXT || resolve(input, word, &value) < 0 ||
		        input_add_word(input, words, value, word->place) < 0) {
			return input->draft->error[0] != '\0'
			               ? -EINVAL
			               : fault_set(input->draft->error, word->place,
			                         "'command' is a list of words");
		}
	}
	return input_add_flags(input, words);
}

static bool is_peer(const struct input *input, const struct yaml_node *service)
{
	const struct yaml_node *image = yaml_find(service, "image");

	return image != NULL && image->kind == YAML_TEXT &&
	       memmem(image->text.ptr, image->text.len, input->image, strlen(input->image)) != NULL;
}

/* The one service, or the one whose image is the peer's. */
static int choose_service(
        struct input *input, const struct yaml_node *services, const struct yaml_node **ret_service)
{
	char memory[512];
	struct text names = text_over(memory, sizeof(memory) - 1);
	unsigned peers = 0;

	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		text_add_format(&names, "%s%.*s", node == services->first ? "" : ", ",
		        SLICE_FMT(node->key));
		if (is_peer(input, node)) {
			*ret_service = node;
			peers++;
		}
	}
	memory[names.len] = '\0';
	if (peers == 0 && services->first != NULL && services->first->next == NULL) {
		*ret_service = services->first;
		peers = 1;
	}
	if (peers != 1) {
		return fault_set(input->draft->error, services->place,
		        "%s service has an image %s: there are %s; leave one in the file",
		        peers == 0 ? "no" : "more than one", input->image,
		        names.len > 0 ? memory : "none");
	}
	input->service = (*ret_service)->key.ptr;
	return 0;
}

static int read_service(struct input *input, const struct yaml_node *service)
{
	static const char *const elsewhere[] = {"env_file", "extends"};

	for (unsigned i = 0; i < ARRAY_LEN(elsewhere); i++) {
		const struct yaml_node *node = yaml_find(service, elsewhere[i]);
		if (node != NULL) {
			draft_say(input->draft, DRAFT_LOST,
			        "line %u: settings that '%s' brings in are not seen here; give "
			        "what 'docker compose config' prints.",
			        node->place.line, elsewhere[i]);
		}
	}
	if (read_pairs(input, SETTING_VARIABLE, yaml_find(service, "environment")) < 0 ||
	        read_command(input, yaml_find(service, "command")) < 0) {
		return -EINVAL;
	}
	return 0;
}

/* Of every service: wollomatic's proxy looks at those of the others. */
static int read_labels(struct input *input, const struct yaml_node *services)
{
	for (const struct yaml_node *node = services->first; node != NULL; node = node->next) {
		const unsigned before = input->count;
		if (read_pairs(input, SETTING_LABEL, yaml_find(node, "labels")) < 0) {
			return -EINVAL;
		}
		for (unsigned i = before; i < input->count; i++) {
			input->settings[i].service = node->key.ptr;
		}
	}
	return 0;
}

static bool is_service(const struct yaml_node *map)
{
	return yaml_find(map, "image") != NULL || yaml_find(map, "environment") != NULL ||
	       yaml_find(map, "command") != NULL;
}

int input_read_compose(struct input *input, struct slice bytes)
{
	const struct yaml_node *root = NULL;
	const struct yaml_node *service = NULL;

	if (yaml_read(bytes, input->file, input->arena, &root, input->draft->error) < 0) {
		return -EINVAL;
	}
	if (root->kind != YAML_MAP) {
		return fault_set(input->draft->error, root->place,
		        "expected a compose file, lines of NAME=value%s",
		        input->takes_rules ? ", flags or rules" : " or flags");
	}
	if (is_service(root)) {
		return read_service(input, root);
	}
	const struct yaml_node *services = yaml_find(root, "services");
	services = services != NULL ? services : root;
	if (services->kind != YAML_MAP) {
		return fault_set(
		        input->draft->error, services->place, "'services' is a map of services");
	}
	if (choose_service(input, services, &service) < 0) {
		return -EINVAL;
	}
	ASSERT(service != NULL);
	return read_service(input, service) < 0 ? -EINVAL : read_labels(input, services);
}
