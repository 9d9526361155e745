/* SPDX-License-Identifier: MIT */
/*
 * engines — GET /engines: the Engines that the sender may use, and how each of them is.
 *
 * Names alone, no addresses: whoever may use an Engine need not know where it is.
 */
#include "base/clock.h"
#include "pulse/pulse.h"
#include "session/state.h"

/* For which the list is made. */
struct list_of {
	const struct snapshot *snapshot;
	const struct engine_set *usable;
	bool has_default;
	bool has_members; /* groups name theirs */
};

static bool is_listed(const struct list_of *list, unsigned number)
{
	return (number != ENGINE_DEFAULT || list->has_default) &&
	       engine_set_has(list->usable, number);
}

static const char *state_word(enum pulse_state state)
{
	return state == PULSE_UP ? "true" : state == PULSE_DOWN ? "false" : "null";
}

static void add_view(const struct pulse *pulse, struct text *text)
{
	const struct pulse_view view = pulse_look(pulse);

	text_add(text, SLICE(",\"up\":"));
	text_add(text, slice_of(state_word(view.state)));
	if (view.since_ns > 0) {
		text_add(text, SLICE(",\"since\":\""));
		clock_add_timestamp(text, view.since_ns);
		text_add_char(text, '"');
	}
	if (view.state == PULSE_DOWN) {
		text_add(text, SLICE(",\"error\":\""));
		text_add(text, slice_of(pulse_word(view.trouble)));
		text_add_char(text, '"');
	}
}

/* Those that the sender may use; a group may be all that he knows of the others. */
static void add_members(
        const struct list_of *list, const struct snapshot_engine *group, struct text *text)
{
	bool any = false;

	text_add(text, SLICE(",\"members\":["));
	for (unsigned i = 0; i < group->member_count; i++) {
		if (is_listed(list, group->members[i])) {
			text_add(text, any ? SLICE(",\"") : SLICE("\""));
			text_add(text, slice_of(list->snapshot->engines[group->members[i]].name));
			text_add_char(text, '"');
			any = true;
		}
	}
	text_add_char(text, ']');
}

static void add_group(
        const struct list_of *list, const struct snapshot_engine *group, struct text *text)
{
	const unsigned active = snapshot_choose_member(list->snapshot, group, 0);
	const enum pulse_state state = pulse_look(list->snapshot->engines[active].pulse).state;

	text_add(text, SLICE(",\"up\":"));
	text_add(text, slice_of(state_word(state)));
	if (list->has_members) {
		add_members(list, group, text);
	}
	if (is_listed(list, active)) {
		text_add(text, SLICE(",\"active\":\""));
		text_add(text, slice_of(list->snapshot->engines[active].name));
		text_add_char(text, '"');
	}
}

static void add_engine(const struct list_of *list, unsigned number, struct text *text)
{
	const struct snapshot_engine *engine = &list->snapshot->engines[number];

	text_add(text, SLICE("\n{\"name\":\""));
	text_add(text, slice_of(engine->name)); /* letters, digits and _.- */
	text_add_char(text, '"');
	if (engine->member_count > 0) {
		add_group(list, engine, text);
	} else {
		add_view(engine->pulse, text);
	}
	text_add_char(text, '}');
}

/* False: it does not fit. */
static bool write_list(const struct list_of *list, struct text *text)
{
	bool any = false;

	text_add(text, SLICE("{\"engines\":["));
	for (unsigned i = 0; i < list->snapshot->engine_count; i++) {
		if (is_listed(list, i)) {
			text_add(text, any ? SLICE(",") : SLICE(""));
			add_engine(list, i, text);
			any = true;
		}
	}
	text_add(text, SLICE("]}\n"));
	return !text->overflow;
}

enum next session_respond_engines(struct session *session, const struct gate_decision *decision)
{
	struct pool *pool = &session->worker->inspect_pool;
	struct inspect_memory *memory = pool_take(pool);
	struct list_of list = {
	        .snapshot = session_snapshot(session),
	        .usable = decision->usable,
	        .has_default = session_listener(session)->gate.engines->has_default,
	        .has_members = true,
	};

	if (memory == NULL) {
		return session_starve(session);
	}
	struct text text = text_over(memory->strings, sizeof(memory->strings));
	if (!write_list(&list, &text)) { /* the longest that 4,096 names make fits without */
		list.has_members = false;
		text = text_over(memory->strings, sizeof(memory->strings));
		(void)write_list(&list, &text);
	}
	const enum next next = session_respond_json(session, OUTCOME_ENGINES, text_slice(&text));
	pool_give(pool, memory);
	return next;
}
