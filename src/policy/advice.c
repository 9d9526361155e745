/* SPDX-License-Identifier: MIT */
#include "policy/inside.h"

/* "container.create is in the presets compose and portainer; or add the rule allow:
 * [container.create]" */
void policy_advise(
        const struct policy *policy, const struct docker_request *request, struct text *text)
{
	if (policy->advisor != NULL) {
		policy->advisor(policy->advisor_context, request, text);
		return;
	}
	text_add_format(text, "allow: [%s]", docker_operation_name(request->id));
}
