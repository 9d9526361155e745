/* SPDX-License-Identifier: MIT */
/* The verb reload. */
#include "operate/operate.h"

#include "operate/document.h"
#include "operate/fetch.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_S = 65 }; /* longer than the proxy takes to say that it takes long */

static int report(const struct answer *answer)
{
	char memory[REPORT_MAX];
	struct text text = text_over(memory, sizeof(memory));

	document_add_message(answer, &text);
	(void)fprintf(answer->status == 200 ? stdout : stderr, "%s%.*s\n",
	        answer->status == 200 ? "" : "not reloaded: ", SLICE_FMT(text_slice(&text)));
	return answer->status == 200 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int operate_reload(const struct config *config)
{
	struct place_to_ask place;
	struct answer answer = {.memory = NULL};
	char error[FAULT_MAX];
	int code = EXIT_FAILURE;

	if (place_find(&config->asked, config->file, &place, error) &&
	        fetch(&place, "POST", SLICE("/api/reload"), TIMEOUT_S, &answer, error) == 0) {
		code = report(&answer);
	} else {
		(void)fprintf(stderr, "reload: %s\n", error);
	}
	answer_free(&answer);
	place_free(&place);
	return code;
}
