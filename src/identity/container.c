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
