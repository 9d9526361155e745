/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target defines. libFuzzer calls it with inputs it invents;
 * replay.c with files, under any compiler. A property that does not hold aborts.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#endif
