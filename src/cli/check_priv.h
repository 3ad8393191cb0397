/*
 * What the files of `tama check` share: check.c reads the command line and goes through the steps,
 * check_config.c looks at dialects and their fields, check_texts.c at the services' words,
 * check_play.c plays transcripts and exchanges, check_walk.c walks every menu.
 */
#ifndef TAMA_CHECK_PRIV_H
#define TAMA_CHECK_PRIV_H

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/config.h"
#include "tama/dialect.h"
#include "tama/menu.h"

#define CHECK_BYTES (4 * 1024 * 1024) /* for what is kept until the end: messages, files */
#define CHECK_PROBLEMS 200 /* told; what follows is counted only */

struct check {
	const struct config *config;
	struct menu_host *menus;
	struct dialect_host *dialects;
	struct arena arena;
	bool is_recording; /* transcripts are written anew instead of compared */
	struct str told[CHECK_PROBLEMS]; /* each is told once */
	size_t told_len;
	unsigned problems;
	unsigned screens;
	unsigned transcripts;
	unsigned exchanges;
};

/* "file:line: message" of something wrong, once however often it is found; the exit status is 1. */
void check_problem(struct check *check, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same with where the walk met it behind: the place is shown and makes no message a new one.
 */
void check_problem_at(struct check *check, struct str message, struct str place);

/* What was not looked at: said, and no failure. */
void check_note(struct check *check, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole file of at most max bytes in the check's arena; false with a problem told. */
bool check_read(struct check *check, const char *path, size_t max, struct str *out);

/* The service's file of that name, or an empty text. */
struct str check_file(const struct service *service, const char *name);

/* The steps. Each tells what it finds. */
void check_channels(struct check *check);
void check_accounts(struct check *check);
void check_texts(struct check *check, const struct service *service);
void check_transcripts(struct check *check, const struct service *service);
void check_exchange(
	struct check *check, const char *dialect_path, const char *const *paths, size_t n);
void check_walk(struct check *check, const struct channel *channel, const struct service *service);

/*
 * The line of menu.lua that first uses a text, 1 where it cannot be seen (text["last_" .. state]).
 */
unsigned check_text_line(const struct service *service, struct str key);

#endif
