/* SPDX-License-Identifier: MIT */
#include "base/fault.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int fault_set(char fault[FAULT_MAX], struct place place, const char *format, ...)
{
	struct text text = text_over(fault, FAULT_MAX);
	va_list arguments;

	if (place.file != NULL) {
		text_add_format(&text, "%.512s:%u: ", place.file, place.line);
	}
	va_start(arguments, format);
	(void)vsnprintf(fault + text.len, FAULT_MAX - text.len, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

int fault_memory(char fault[FAULT_MAX])
{
	return fault_set(fault, NOWHERE,
	        "out of memory: raise the memory limit of the process or of its container");
}
