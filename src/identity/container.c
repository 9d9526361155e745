/* SPDX-License-Identifier: MIT */
#include "identity/container.h"

#include "base/text.h"

void container_begin(struct container *container)
{
	container->id = container->name = container->image = (struct slice){"", 0};
	container->label_count = 0;
	container->len = 0;
}

bool container_keep(struct container *container, struct slice text, struct slice *ret_kept)
{
	if (text.len > sizeof(container->memory) - container->len) {
		return false;
	}
	char *kept = container->memory + container->len;
	*ret_kept = (struct slice){kept, text_keep(kept, text.len, text)};
	container->len += text.len;
	return true;
}

struct slice container_label(const struct container *container, struct slice name)
{
	for (unsigned i = 0; i < container->label_count; i++) {
		if (slice_equal(container->labels[i].name, name)) {
			return container->labels[i].value;
		}
	}
	return (struct slice){NULL, 0};
}

static struct slice moved(struct slice slice, const char *from, const char *to)
{
	return slice.len == 0 ? (struct slice){"", 0}
	                      : (struct slice){to + (slice.ptr - from), slice.len};
}

void container_copy(struct container *to, const struct container *from)
{
	to->len =
	        text_keep(to->memory, sizeof(to->memory), (struct slice){from->memory, from->len});
	to->id = moved(from->id, from->memory, to->memory);
	to->name = moved(from->name, from->memory, to->memory);
	to->image = moved(from->image, from->memory, to->memory);
	to->label_count = from->label_count;
	for (unsigned i = 0; i < from->label_count; i++) {
		to->labels[i].name = moved(from->labels[i].name, from->memory, to->memory);
		to->labels[i].value = moved(from->labels[i].value, from->memory, to->memory);
	}
}
