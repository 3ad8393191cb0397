/*
 * Loading a configuration: one sandboxed run of the file, then one pass over what it declared.
 * Either a whole configuration comes out or a list of problems.
 */
#include "config_priv.h"

#include "tama/lua_gate.h"

#include <sodium.h>
#include <stdarg.h>

#define PROBLEM_TEXT 1024

static struct config_box *box_of(const struct config *config)
{
	/* Counting references is the one change to a configuration after its making. */
	return (struct config_box *)(uintptr_t)config;
}

static void box_free(struct config_box *box)
{
	sodium_free(box->locked);
	arena_fini(&box->arena);
	free(box);
}

static struct config_box *box_new(void)
{
	struct config_box *box = calloc(1, sizeof(*box));
	if (box == NULL)
		return NULL;
	arena_init(&box->arena, LIMIT_CONFIG_BYTES);
	atomic_init(&box->refs, 1);
	box->locked = sodium_init() < 0 ? NULL : sodium_malloc(LIMIT_CONFIG_SECRETS);
	if (box->locked == NULL) {
		box_free(box);
		return NULL;
	}
	return box;
}

static void *checked(struct loader *loader, void *p)
{
	if (p == NULL)
		(void)luaL_error(loader->L, "the configuration is too large");
	return p;
}

void *config_temp(struct loader *loader, size_t n)
{
	return checked(loader, arena_alloc(&loader->arena, n));
}

void *config_alloc(struct loader *loader, size_t n)
{
	return checked(loader, arena_alloc(&loader->box->arena, n));
}

struct str config_str(struct loader *loader, struct str s)
{
	char *copy = config_alloc(loader, s.n + 1);
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return (struct str){copy, s.n};
}

/* Past the limit problems are dropped: hundreds are noted by then. */
void config_problem_line(
	struct loader *loader, const struct config_source *source, unsigned line, struct str whole)
{
	unsigned seq = (unsigned)loader->problems_len;
	if (seq < LIMIT_CONFIG_PROBLEMS) {
		loader->problems[seq] = (struct config_problem){whole, source->order, line, seq};
		loader->problems_len++;
	}
}

void config_problem_at(struct loader *loader, const struct config_source *source, unsigned line,
	const char *fmt, ...)
{
	char text[PROBLEM_TEXT];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	config_problem_line(loader, source, line,
		arena_printf(&loader->arena, "%.*s:%u: %s", STR_ARG(source->path), line, text));
}

void config_problem(
	struct loader *loader, const struct decl *decl, const char *path, const char *fmt, ...)
{
	char text[PROBLEM_TEXT];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	const char *quote = decl->name.n > 0 ? "\"" : "";
	config_problem_at(loader, decl->source,
		path == NULL ? decl->line : config_source_line(decl->source, decl->line, path),
		"%s%s%s%.*s%s: %s", decl_types[decl->kind].word, decl->name.n > 0 ? " " : "", quote,
		STR_ARG(decl->name), quote, text);
}

static int problem_compare(const void *a, const void *b)
{
	const struct config_problem *x = a, *y = b;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

static void problems_tell(struct loader *loader, struct err *err)
{
	qsort(loader->problems, loader->problems_len, sizeof(*loader->problems), problem_compare);
	for (size_t i = 0; i < loader->problems_len; i++) {
		const char *text = loader->problems[i].line.p;
		if (text == NULL)
			text = "too many problems to tell";
		(void)err_set(err, TAMA_EINVAL, "%s", text);
		if (loader->options->problem != NULL)
			loader->options->problem(loader->options->ctx, text);
	}
}

/* [-1, +0, e] */
static int resolve_protected(lua_State *L)
{
	struct loader *loader = lua_touserdata(L, 1);
	loader->L = L;
	config_resolve(loader);
	return 0;
}

static void load_run(struct loader *loader)
{
	struct err err = ERR_INIT;
	lua_State *L = lua_gate_state(loader->gate);
	lua_gate_set_context(loader->gate, loader);
	config_script_push(loader);
	for (size_t i = 0; i < loader->sources_len; i++)
		config_script_run(loader, loader->sources[i]);
	if (loader->is_incomplete)
		return;
	lua_pushcfunction(L, resolve_protected);
	lua_pushlightuserdata(L, loader);
	if (lua_gate_call(loader->gate, 1, 0, &err) != 0)
		config_problem_at(loader, loader->sources[0], 1, "%s", err.text);
}

static int loader_init(struct loader *loader, const char *file, struct err *err)
{
	struct arena *arena = &loader->arena;
	arena_init(arena, LIMIT_CONFIG_BYTES);
	buf_init(&loader->scratch, LIMIT_CONFIG_FILE);
	loader->box = box_new();
	loader->sources[0] = arena_alloc(arena, sizeof(*loader->sources[0]));
	loader->problems = arena_alloc(arena, LIMIT_CONFIG_PROBLEMS * sizeof(*loader->problems));
	loader->settings_used =
		arena_alloc(arena, loader->options->settings_len * sizeof(*loader->settings_used));
	loader->settings_known =
		arena_alloc(arena, LIMIT_CONFIG_LIST * sizeof(*loader->settings_known));
	if (loader->box == NULL || arena_overflowed(arena))
		return err_set(err, TAMA_ENOMEM, "no memory for a configuration");
	loader->box->config.file = arena_str(&loader->box->arena, str_c(file));
	loader->sources[0]->path = loader->box->config.file;
	loader->sources_len = 1;
	return lua_gate_new(&loader->gate, err);
}

static void loader_fini(struct loader *loader)
{
	if (loader->box != NULL)
		box_free(loader->box);
	lua_gate_free(&loader->gate);
	buf_fini(&loader->scratch);
	arena_fini(&loader->arena);
}

int config_load(const char *file, const struct config_options *options, const struct config **out,
	struct err *err)
{
	static const struct config_options none = {NULL, 0, NULL, NULL};
	struct loader loader = {.options = options != NULL ? options : &none};
	int rc = loader_init(&loader, file, err);
	if (rc == 0) {
		load_run(&loader);
		problems_tell(&loader, err);
		rc = loader.problems_len > 0 ? TAMA_EINVAL : 0;
	}
	if (rc == 0) {
		(void)sodium_mprotect_readonly(loader.box->locked);
		*out = &loader.box->config;
		loader.box = NULL;
	}
	loader_fini(&loader);
	return rc;
}

const struct config *config_ref(const struct config *config)
{
	atomic_fetch_add_explicit(&box_of(config)->refs, 1, memory_order_relaxed);
	return config;
}

void config_unref(const struct config **config)
{
	if (*config == NULL)
		return;
	struct config_box *box = box_of(*config);
	*config = NULL;
	if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) == 1)
		box_free(box);
}
