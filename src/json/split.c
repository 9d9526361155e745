/* SPDX-License-Identifier: MIT */
#include "json/json.h"

void json_splitter_begin(struct json_splitter *splitter, char *memory, size_t size)
{
	*splitter = (struct json_splitter){.size = size};
	splitter->memory = memory;
}

/* A string ends, begins or goes on with `c`. */
static bool is_of_string(struct json_splitter *splitter, char c)
{
	const bool was_in_string = splitter->in_string;

	if (c == '"' && !splitter->escaped) {
		splitter->in_string = !was_in_string;
	}
	splitter->escaped = was_in_string && c == '\\' && !splitter->escaped;
	return was_in_string || splitter->in_string;
}

/* True: the object ends with `c`. */
static bool take(struct json_splitter *splitter, char c)
{
	if (splitter->len < splitter->size) {
		splitter->memory[splitter->len] = c;
	}
	splitter->len++;
	if (is_of_string(splitter, c)) {
		return false;
	}
	if (c == '{' || c == '[') {
		splitter->depth++;
	} else if (c == '}' || c == ']') {
		splitter->depth--;
	}
	return splitter->depth == 0;
}

size_t json_split(struct json_splitter *splitter, struct slice in, struct slice *ret_object)
{
	*ret_object = (struct slice){"", 0};
	for (size_t at = 0; at < in.len; at++) {
		if (splitter->depth == 0 && in.ptr[at] != '{') {
			continue; /* brackets, commas and line ends between objects */
		}
		if (take(splitter, in.ptr[at])) {
			if (splitter->len <= splitter->size) {
				*ret_object = (struct slice){splitter->memory, splitter->len};
			} else {
				splitter->left_out = true;
			}
			splitter->len = 0;
			return at + 1;
		}
	}
	return in.len;
}
