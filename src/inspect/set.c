/* SPDX-License-Identifier: MIT */
#include "inspect/set.h"

#include <arpa/inet.h>
#include <errno.h>

enum {
	WORDS_MAX = 256,
	WORD_MAX = 1024, /* bytes of a word of a body that is compared with patterns */
};

const struct key inspect_keys[KEY_COUNT] = {
#define KEY(block, name, kind, choices, standard, guarded, root, what)                             \
	[KEY_##block##_##name] = {                                                                 \
	        INSPECT_##block, KIND_##kind, #name, choices, standard, guarded, root, what},
#include "inspect/keys.def"
#undef KEY
};

/* ── Membership ──────────────────────────────────────────────────────────── */

/* The guard that the word begins with; ptr NULL: none. */
static struct slice guard_of(const struct key *key, struct slice word)
{
	struct slice rest = slice_of(key->guarded);
	struct slice guard;

	while (rest.len > 0 && slice_next(&rest, ' ', &guard)) {
		const char last = guard.ptr[guard.len - 1];
		const bool open = last == ':' || last == '.';
		if (open ? slice_starts_with(word, guard) : slice_equal(word, guard)) {
			return guard;
		}
	}
	return (struct slice){NULL, 0};
}

/* Globs; those that begin with '!' take away, and if there are no others, from everything. */
static bool has_word(const struct key *key, const struct set *set, struct slice word)
{
	const struct slice guard = guard_of(key, word);
	bool only_away = set->count > 0;
	bool fits = set->any && guard.ptr == NULL;

	if (set->count > 0 && word.len > WORD_MAX) {
		return false;
	}
	for (unsigned i = 0; i < set->count; i++) {
		struct slice pattern = set->patterns[i];
		if (slice_skip(&pattern, SLICE("!"))) {
			if (slice_fits(pattern, word)) {
				return false;
			}
			continue;
		}
		only_away = false;
		fits = fits || ((guard.ptr == NULL || slice_starts_with(pattern, guard)) &&
		                       slice_fits(pattern, word));
	}
	return fits || (only_away && guard.ptr == NULL);
}

bool set_names(const struct set *set, struct slice word)
{
	for (unsigned i = 0; i < set->count; i++) {
		if (slice_equal(set->patterns[i], word)) {
			return true;
		}
	}
	return false;
}

struct slice set_shown(const struct key *key, const struct set *set, unsigned number)
{
	return key->kind == KIND_IMAGES ? docker_short_image(set->patterns[number])
	                                : set->patterns[number];
}

static bool has_plain(const struct key *key, const struct set *set, struct slice word)
{
	(void)key;
	return set_names(set, word);
}

/* Of 128 bits: one of IPv4 is below ::ffff:0:0/96. */
struct subnet {
	unsigned char bytes[16];
	unsigned prefix; /* bits */
};

/* "172.30.0.0/16". False: it is no subnet. */
static bool read_subnet(struct slice text, struct subnet *ret_subnet)
{
	char memory[INET6_ADDRSTRLEN];
	struct text copy = text_over(memory, sizeof(memory));
	struct slice address = {"", 0};
	uint64_t prefix = 0;

	(void)slice_next(&text, '/', &address);
	text_add(&copy, address);
	text_add_char(&copy, '\0');
	*ret_subnet = (struct subnet){.bytes = {[10] = 0xff, [11] = 0xff}};
	if (copy.overflow || slice_to_u64(text, 128, &prefix) < 0) {
		return false;
	}
	if (inet_pton(AF_INET, memory, ret_subnet->bytes + 12) == 1) {
		ret_subnet->prefix = 96 + (unsigned)prefix;
		return prefix <= 32;
	}
	ret_subnet->prefix = (unsigned)prefix;
	return inet_pton(AF_INET6, memory, ret_subnet->bytes) == 1;
}

static bool is_bit_equal(const struct subnet *one, const struct subnet *other, unsigned bit)
{
	const unsigned differ = one->bytes[bit / 8] ^ other->bytes[bit / 8];

	return (differ & (0x80U >> bit % 8)) == 0;
}

static bool is_part_of(const struct subnet *part, const struct subnet *whole)
{
	unsigned bit = 0;

	while (bit < whole->prefix && is_bit_equal(part, whole, bit)) {
		bit++;
	}
	return part->prefix >= whole->prefix && bit == whole->prefix;
}

static bool has_subnet(const struct key *key, const struct set *set, struct slice word)
{
	struct subnet part;
	struct subnet whole;

	(void)key;
	for (unsigned i = 0; read_subnet(word, &part) && i < set->count; i++) {
		if (read_subnet(set->patterns[i], &whole) && is_part_of(&part, &whole)) {
			return true;
		}
	}
	return false;
}

/* Where networks are listed, what may be an id must be written in full. */
static bool has_network(const struct key *key, const struct set *set, struct slice word)
{
	return set->count > 0 && (word_may_be_network_id(word) || docker_is_hexadecimal(word))
	               ? has_plain(key, set, word)
	               : has_word(key, set, word);
}

static bool has_image(const struct key *key, const struct set *set, struct slice image)
{
	(void)key;
	for (unsigned i = 0; i < set->count; i++) {
		if (docker_image_fits(set->patterns[i], image)) {
			return true;
		}
	}
	return false;
}

static bool has_path(const struct key *key, const struct set *set, struct slice path)
{
	(void)key;
	for (unsigned i = 0; word_is_path(path) && i < set->count; i++) {
		if (path_is_below(path, set->patterns[i])) {
			return true;
		}
	}
	return false;
}

/* Word by word, so that no blank in a word of the command can pass for the end of one. */
static bool command_fits(struct slice pattern, const struct json_node *list)
{
	const struct json_node *word = json_first(list);
	struct slice glob;

	while (slice_next(&pattern, ' ', &glob)) {
		if (slice_equal(glob, SLICE("**")) && pattern.len == 0) {
			return true;
		}
		if (word == NULL || word->text.len > WORD_MAX || !slice_fits(glob, word->text)) {
			return false;
		}
		word = json_next(list, word);
	}
	return word == NULL;
}

bool set_has_command(const struct set *set, const struct json_node *list)
{
	for (unsigned i = 0; i < set->count; i++) {
		if (command_fits(set->patterns[i], list)) {
			return true;
		}
	}
	return set->any;
}

/* ── Reading ─────────────────────────────────────────────────────────────── */

static const char capability_names[] =
        "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN "
        "DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE "
        "MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON "
        "SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE "
        "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM";

/* The patterns of a key, while it is read. */
struct set_reader {
	const struct key *key;
	struct slice workspace; /* see struct inspect_setting */
	struct arena *arena;
	struct slice *patterns;
	unsigned count;
	bool any;
	bool uses_workspace;
	char *error;
};

static void add_plain(struct slice word, struct text *text)
{
	text_add(text, word);
}

static void add_directory(struct slice word, struct text *text)
{
	text_add(text, word);
	text->len -= text->len > 1 && slice_ends_with(word, SLICE("/"));
}

static void add_image_pattern(struct slice word, struct text *text)
{
	docker_add_full_image(word, true, text);
}

static const struct {
	/* Append a pattern in the spelling in which words of a body are compared with it. */
	void (*normalize)(struct slice word, struct text *text);
	bool (*has)(const struct key *key, const struct set *set, struct slice word);
	bool guards; /* there are guarded words and `!`: `has` also decides where anything is
	                allowed */
} kinds[] = {
        [KIND_CHOICE] = {add_plain, has_plain, false},
        [KIND_WORDS] = {add_plain, has_word, true},
        [KIND_SUBNETS] = {add_plain, has_subnet, false},
        [KIND_NETWORKS] = {add_plain, has_network, true},
        [KIND_IMAGES] = {add_image_pattern, has_image, false},
        [KIND_PATHS] = {add_directory, has_path, false},
        [KIND_CAPABILITIES] = {word_add_capability, has_plain, false},
        [KIND_COMMANDS] = {add_plain, has_plain, false},
        [KIND_SOCKET] = {add_plain, has_plain, false},
};

bool set_has(const struct key *key, const struct set *set, struct slice word)
{
	return set->all || (set->any && !kinds[key->kind].guards) ||
	       kinds[key->kind].has(key, set, word);
}

static struct slice normalize(const struct set_reader *reader, struct slice word)
{
	char memory[PATTERN_MAX + 32]; /* room for a registry, a folder and a tag */
	struct text text = text_over(memory, sizeof(memory));

	kinds[reader->key->kind].normalize(word, &text);
	const char *copy = arena_copy(reader->arena, text_slice(&text));
	return (struct slice){copy, copy == NULL ? 0 : text.len};
}

/* What only words of some kinds may be. */
static int check_kind(struct set_reader *reader, struct slice word, struct place place)
{
	const struct key *key = reader->key;
	struct subnet subnet;

	if (key->kind == KIND_SUBNETS && !read_subnet(word, &subnet)) {
		return fault_set(reader->error, place,
		        "'%s' in '%s' is not a subnet, such as 172.30.0.0/16", text_show(word).text,
		        key->name);
	}
	if (key->kind == KIND_PATHS && memchr(word.ptr, '*', word.len) != NULL) {
		return fault_set(reader->error, place,
		        "'%s' in '%s' has a star: a path stands for all that is below it, without "
		        "one",
		        text_show(word).text, key->name);
	}
	if (key->kind == KIND_PATHS && !word_is_path(word)) {
		return fault_set(reader->error, place,
		        "'%s' in '%s' is not an absolute path without '.', '..', empty segments, "
		        "commas and colons%s",
		        text_show(word).text, key->name,
		        slice_starts_with(word, SLICE("$")) ? "; the only variable is $WORKSPACE, "
		                                              "a word of its own in bind_sources"
		                                            : "");
	}
	return 0;
}

static int check_word(struct set_reader *reader, struct slice word, struct place place)
{
	const struct key *key = reader->key;

	if (word.len == 0 || word.len > PATTERN_MAX) {
		return fault_set(reader->error, place, "a word of '%s' has 1 to %d bytes",
		        key->name, PATTERN_MAX);
	}
	if (slice_equal(word, SLICE("any"))) {
		return fault_set(
		        reader->error, place, "'any' stands alone: write %s: any", key->name);
	}
	if (!kinds[key->kind].guards && slice_starts_with(word, SLICE("!"))) {
		return fault_set(reader->error, place,
		        "'%s' in '%s' begins with '!', which takes nothing away there",
		        text_show(word).text, key->name);
	}
	return check_kind(reader, word, place);
}

/* A word that stands twice counts once: of two equal directories none is below the other. */
static bool has_pattern(const struct set_reader *reader, struct slice pattern)
{
	for (unsigned i = 0; i < reader->count; i++) {
		if (slice_equal(reader->patterns[i], pattern)) {
			return true;
		}
	}
	return false;
}

static int add_pattern(struct set_reader *reader, struct slice word, struct place place)
{
	const struct key *key = reader->key;

	if (check_word(reader, word, place) < 0) {
		return -EINVAL;
	}
	const struct slice pattern = normalize(reader, word);
	if (key->kind == KIND_CAPABILITIES && !word_is_in(pattern, capability_names)) {
		return fault_set(reader->error, place, "'%s' in '%s' is not a capability of Linux",
		        text_show(word).text, key->name);
	}
	if (has_pattern(reader, pattern)) {
		return 0;
	}
	if (reader->count == WORDS_MAX) {
		return fault_set(
		        reader->error, place, "'%s' has more than %d words", key->name, WORDS_MAX);
	}
	reader->any = reader->any ||
	              (key->kind == KIND_CAPABILITIES && slice_equal(pattern, SLICE("ALL")));
	reader->patterns[reader->count++] = pattern;
	return 0;
}

/* A pattern, or the word that stands for those of WORKSPACE. */
static int add_word(struct set_reader *reader, struct slice word, struct place place)
{
	struct slice rest = reader->workspace;
	struct slice directory;

	if (reader->key != &inspect_keys[KEY_CREATE_bind_sources] ||
	        !slice_equal(word, SLICE("$WORKSPACE"))) {
		return add_pattern(reader, word, place);
	}
	reader->uses_workspace = true;
	while (rest.len > 0 && slice_next(&rest, ',', &directory)) {
		if (add_pattern(reader, slice_trim(directory), place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* "any", "none" or one pattern. */
static int read_word(struct set_reader *reader, struct slice word, struct place place)
{
	reader->any = slice_equal(word, SLICE("any"));
	return reader->any || slice_equal(word, SLICE("none")) ? 0 : add_word(reader, word, place);
}

static int read_choice(struct set_reader *reader, const struct yaml_node *value)
{
	const struct key *key = reader->key;
	const struct slice choices = slice_of(key->choices);

	if (value->kind != YAML_TEXT || !word_is_in(value->text, key->choices)) {
		return fault_set(reader->error, value->place, "'%s' is one of %s; found %s",
		        key->name, key->choices, yaml_found(value).text);
	}
	reader->any = slice_ends_with(choices, value->text);
	return reader->any || slice_starts_with(choices, value->text)
	               ? 0
	               : add_pattern(reader, value->text, value->place);
}

static int read_list(struct set_reader *reader, const struct yaml_node *value)
{
	if (value->kind != YAML_LIST || value->first == NULL) {
		return fault_set(reader->error, value->place,
		        "'%s' is any, none or a list, such as %s; found %s", reader->key->name,
		        reader->key->choices,
		        value->kind == YAML_LIST ? "an empty list" : yaml_found(value).text);
	}
	for (const struct yaml_node *word = value->first; word != NULL; word = word->next) {
		if (word->kind != YAML_TEXT) {
			return fault_set(reader->error, word->place,
			        "'%s' is a list of words, such as %s; found %s", reader->key->name,
			        reader->key->choices, yaml_found(word).text);
		}
		if (add_word(reader, word->text, word->place) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

static int read_socket(struct set_reader *reader, const struct yaml_node *value)
{
	struct slice path = value->kind == YAML_TEXT ? value->text : (struct slice){"", 0};

	if (slice_equal(path, SLICE("none"))) {
		return 0;
	}
	if (!slice_skip(&path, SLICE("unix://")) || !word_is_path(path)) {
		return fault_set(reader->error, value->place,
		        "'%s' is the address of a unix listener, such as %s; found %s",
		        reader->key->name, reader->key->choices, yaml_found(value).text);
	}
	return add_pattern(reader, path, value->place);
}

static int read_value(struct set_reader *reader, const struct yaml_node *value)
{
	if (reader->key->kind == KIND_SOCKET) {
		return read_socket(reader, value);
	}
	if (reader->key->kind == KIND_CHOICE) {
		return read_choice(reader, value);
	}
	return value->kind == YAML_TEXT && value->text.len > 0
	               ? read_word(reader, value->text, value->place)
	               : read_list(reader, value);
}

static int read_standard(struct set_reader *reader)
{
	struct slice rest = slice_of(reader->key->standard);
	struct slice word;

	if (reader->key->kind == KIND_CHOICE) {
		const struct yaml_node value = {.kind = YAML_TEXT, .text = rest};
		return read_choice(reader, &value);
	}
	if (word_is_in(rest, "any none")) {
		return read_word(reader, rest, NOWHERE);
	}
	while (slice_next(&rest, ' ', &word)) {
		if (add_pattern(reader, word, NOWHERE) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

int set_read(const struct key *key, const struct yaml_node *value, struct slice workspace,
        struct arena *arena, struct set *ret_set, char error[FAULT_MAX])
{
	struct slice patterns[WORDS_MAX] = {{NULL, 0}};
	struct set_reader reader = {.key = key,
	        .workspace = workspace,
	        .arena = arena,
	        .patterns = patterns,
	        .error = error};
	const int code = value == NULL ? read_standard(&reader) : read_value(&reader, value);
	struct slice *kept = arena_take(arena, (reader.count + 1) * sizeof(patterns[0]));

	if (code < 0 || kept == NULL) {
		return code < 0 ? code : arena_fault(arena, error);
	}
	for (unsigned i = 0; i < reader.count; i++) {
		kept[i] = patterns[i];
	}
	*ret_set = (struct set){
	        .any = reader.any,
	        .count = reader.count,
	        .patterns = kept,
	        .workspace = reader.uses_workspace,
	        .workspace_is_missing = reader.uses_workspace && workspace.len == 0,
	};
	return arena_check(arena, error);
}
