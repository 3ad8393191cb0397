/* What the checker asks a host: which words a service has of its own. */
#include "menu_priv.h"

static const struct text_sets *texts_of(const struct menu_host *host, const struct service *service)
{
	const struct menu_service *known = menu_service_of(host, service);
	tama_assert(known != NULL);
	return &known->texts;
}

static bool has_key(const struct text_set *set, struct str key)
{
	for (size_t i = 0; i < set->n; i++)
		if (str_eq(set->entries[i].key, key))
			return true;
	return false;
}

static bool any_has_key(const struct text_sets *sets, struct str key)
{
	for (size_t i = 0; i < sets->n; i++)
		if (has_key(&sets->sets[i], key))
			return true;
	return false;
}

bool menu_lang_own(
	const struct menu_host *host, const struct service *service, size_t i, struct str *lang_out)
{
	const struct text_sets *sets = texts_of(host, service);
	if (i >= sets->n)
		return false;
	*lang_out = sets->sets[i].lang;
	return true;
}

bool menu_keyword_own(
	const struct menu_host *host, const struct service *service, size_t i, struct str *word_out)
{
	const struct menu_service *known = menu_service_of(host, service);
	tama_assert(known != NULL);
	if (i >= known->keywords_len)
		return false;
	*word_out = known->keywords[i];
	return true;
}

void menu_text_each(
	const struct menu_host *host, const struct service *service, menu_text_fn each, void *ctx)
{
	const struct text_sets *sets = texts_of(host, service);
	for (size_t s = 0; s < sets->n; s++)
		for (size_t i = 0; i < sets->sets[s].n; i++)
			each(ctx, sets->sets[s].lang, sets->sets[s].entries[i].key);
}

bool menu_text_is_own(const struct menu_host *host, const struct service *service, struct str lang,
	struct str key)
{
	const struct text_sets *sets = texts_of(host, service);
	for (size_t i = 0; i < sets->n; i++)
		if (str_eq(sets->sets[i].lang, lang))
			return has_key(&sets->sets[i], key);
	return false;
}

bool menu_text_exists(const struct menu_host *host, const struct service *service, struct str key)
{
	return any_has_key(texts_of(host, service), key) || any_has_key(&host->texts, key);
}
