/*
 * Services: the folder of a menu and its texts, read whole, and the hash that pins a session to
 * them.
 */
#include "config_priv.h"

#include "tama/menu.h"
#include "tama/vault.h"

#include <dirent.h>

/* What the digest runs over: a catalogue and a folder, generously. */
#define HASHED_BYTES (8 * 1024 * 1024)

/* menu.lua and texts.<lang>.lua; transcripts and notes beside them are not part of a service. */
static bool is_part(struct str name)
{
	struct str lang = str_from(name, 6);
	if (str_eq(name, STR("menu.lua")))
		return true;
	if (!str_has_prefix(name, STR("texts.")) || lang.n < 6 || lang.n > 7)
		return false;
	struct str end = str_from(lang, lang.n - 4);
	return str_eq(end, STR(".lua")) && str_find(lang, '.') == (ptrdiff_t)(lang.n - 4);
}

static int name_compare(const void *a, const void *b)
{
	const struct service_file *x = a, *y = b;
	return strcmp(x->name.p, y->name.p);
}

/* Names go into files, as far as they fit. Copies fail without raising: the folder is open. */
static size_t folder_list(struct loader *loader, const char *dir, struct service_file *files)
{
	size_t n = 0;
	DIR *folder = opendir(dir);
	for (struct dirent *entry;
		folder != NULL && n < LIMIT_CONFIG_FILES && (entry = readdir(folder)) != NULL;)
		if (is_part(str_c(entry->d_name)))
			files[n++].name = arena_str(&loader->box->arena, str_c(entry->d_name));
	if (folder != NULL)
		(void)closedir(folder);
	if (arena_overflowed(&loader->box->arena))
		(void)luaL_error(loader->L, "the configuration is too large");
	qsort(files, n, sizeof(*files), name_compare);
	return n;
}

static void file_read(
	struct loader *loader, const struct decl *decl, struct str dir, struct service_file *file)
{
	struct err err = ERR_INIT;
	struct str path =
		arena_printf(&loader->arena, "%.*s/%.*s", STR_ARG(dir), STR_ARG(file->name));
	if (path.p == NULL)
		(void)luaL_error(loader->L, "the configuration is too large");
	if (config_read_file(path.p, LIMIT_CONFIG_FILE, &loader->scratch, &err) != 0)
		config_problem(loader, decl, "dir", "\"%s\": %s", path.p, err.text);
	else
		file->text = config_str(loader, buf_str(&loader->scratch));
}

static void folder_read(
	struct loader *loader, const struct decl_service *s, struct service *service)
{
	struct service_file *files = config_alloc(loader, LIMIT_CONFIG_FILES * sizeof(*files));
	bool has_menu = false;
	service->dir = config_str(loader, config_path(loader, s->decl.source->path, s->dir));
	service->files = files;
	service->files_len = folder_list(loader, service->dir.p, files);
	for (size_t i = 0; i < service->files_len; i++) {
		has_menu = has_menu || str_eq(files[i].name, STR("menu.lua"));
		file_read(loader, &s->decl, service->dir, &files[i]);
	}
	if (!has_menu)
		config_problem(loader, &s->decl, "dir", "there is no \"%.*s/menu.lua\"",
			STR_ARG(service->dir));
}

/* ---- the hash: every part with its length, so that no two contents look alike
 * ---------------------- */

static void hash_text(struct buf *buf, struct str text)
{
	buf_add_u32(buf, (uint32_t)text.n);
	buf_add_str(buf, text);
}

static void hash_texts(struct buf *buf, const struct str *texts, size_t n)
{
	buf_add_u32(buf, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		hash_text(buf, texts[i]);
}

static void hash_operator(struct buf *buf, const struct operator_cfg *op)
{
	hash_text(buf, op->name);
	hash_text(buf, op->title);
	hash_text(buf, op->country != NULL ? op->country->name : STR(""));
	hash_texts(buf, op->prefixes, op->prefixes_len);
	hash_texts(buf, op->networks, op->networks_len);
	hash_texts(buf, op->aliases, op->aliases_len);
	buf_add_u32(buf, op->confirm);
	hash_text(buf, op->dial);
}

static void hash_leg(struct buf *buf, const struct offer_leg *leg)
{
	buf_add_u32(buf, (uint32_t)leg->services_len);
	hash_text(buf, leg->account != NULL ? leg->account->name : STR(""));
	hash_text(buf, leg->verb);
	for (size_t i = 0; i < leg->services_len; i++) {
		hash_text(buf, leg->services[i].op->name);
		hash_text(buf, leg->services[i].service);
	}
}

static void hash_offer(struct buf *buf, const struct offer *offer)
{
	const int64_t numbers[] = {offer->amount.min, offer->amount.max, offer->amount.step,
		offer->fee_flat, offer->fee_permille, offer->fee_step};
	hash_text(buf, offer->name);
	hash_text(buf, offer->kind);
	hash_text(buf, offer->country != NULL ? offer->country->name : STR(""));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		buf_add_u64(buf, (uint64_t)numbers[i]);
	buf_add_u32(buf, (uint32_t)offer->amount.suggest_len);
	for (size_t i = 0; i < offer->amount.suggest_len; i++)
		buf_add_u64(buf, (uint64_t)offer->amount.suggest[i]);
	hash_leg(buf, &offer->collect);
	hash_leg(buf, &offer->deliver);
	hash_text(buf, offer->paid_by);
}

/* A partner's offers alone: another's change does not end this one's sessions. */
static void service_hash(struct loader *loader, struct service *service, struct buf *buf)
{
	const struct config *config = &loader->box->config;
	buf_reset(buf);
	buf_add_u32(buf, MENU_API_VERSION);
	for (size_t i = 0; i < service->files_len; i++) {
		hash_text(buf, service->files[i].name);
		hash_text(buf, service->files[i].text);
	}
	for (size_t i = 0; i < config->operators_len; i++)
		hash_operator(buf, &config->operators[i]);
	for (size_t i = 0; i < config->offers_len; i++)
		if (config->offers[i].partner == service->partner)
			hash_offer(buf, &config->offers[i]);
	vault_digest(buf_str(buf), service->hash);
}

static void resolve_service(
	struct loader *loader, const struct decl_service *s, struct service *out)
{
	const struct config *config = &loader->box->config;
	struct buf hashed;
	const struct decl *partner =
		config_named(loader, &s->decl, "partner", DECL_PARTNER, s->partner);
	out->name = s->decl.name;
	out->partner = partner != NULL ? &config->partners[partner->index] : NULL;
	if (s->dir.n > 0)
		folder_read(loader, s, out);
	buf_init(&hashed, HASHED_BYTES);
	service_hash(loader, out, &hashed);
	bool is_too_large = hashed.overflowed;
	buf_fini(&hashed);
	if (is_too_large)
		config_problem(loader, &s->decl, "dir", "the service is larger than %d bytes",
			HASHED_BYTES);
}

void config_resolve_services(struct loader *loader)
{
	struct config *config = &loader->box->config;
	const struct decl_list *list = &loader->decls[DECL_SERVICE];
	struct service *out = config_alloc(loader, list->len * sizeof(*out));
	config->services = out;
	config->services_len = list->len;
	for (const struct decl *d = list->first; d != NULL; d = d->next)
		resolve_service(loader, (const struct decl_service *)(const void *)d, out++);
}
