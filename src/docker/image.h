/* SPDX-License-Identifier: MIT */
/*
 * image — names of images, as the Engine reads them (distribution/reference), and patterns of such
 * names.
 */
#ifndef DOCKER_IMAGE_H
#define DOCKER_IMAGE_H

#include "base/text.h"

#include <stdbool.h>

enum { DOCKER_IMAGE_MAX = 288 }; /* bytes of a pattern in full: a longer one fits nothing */

/*
 * Append the name in full: "busybox" as "docker.io/library/busybox:latest". In a pattern `**` may
 * stand for a registry.
 */
void docker_add_full_image(struct slice image, bool pattern, struct text *text);
/* The shortest spelling of a name or pattern in full: "busybox:latest". */
struct slice docker_short_image(struct slice full);
/*
 * Whether the name, in any spelling, fits the pattern in full. A star stands for no slash, and only
 * one at the end for '@'; `**` stands for both. An id of an image fits none.
 */
bool docker_image_fits(struct slice pattern, struct slice image);
/* Whether it has hexadecimal digits only: the Engine may take it for the beginning of an id. */
bool docker_is_hexadecimal(struct slice word);

#endif
