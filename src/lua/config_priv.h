/*
 * How a configuration comes about, for the files config_*.c alone.
 *
 *   config_script    runs the file in the gate; each declaration becomes a struct decl
 *   config_fields    says which fields a declaration has
 *   config_read      reads the Lua table into the decl by that table of fields
 *   config_resolve   turns decls into the structs of tama/config.h: names become pointers
 *   config_offer, config_channel, config_service, config_limits   the same for the larger ones
 *   config_address   addresses of HTTP and listeners
 *   config_hint      what was probably meant
 *   config_source    files, and where in a file a field stands
 *   config_secret    secrets and the memory they lie in
 *
 * All of it runs inside one call of the gate, so config_alloc may raise a Lua error when the
 * ceiling is reached, and nothing here holds a resource that is not the loader's across a call that
 * can raise.
 */
#ifndef TAMA_CONFIG_PRIV_H
#define TAMA_CONFIG_PRIV_H

#include "tama/arena.h"
#include "tama/buf.h"
#include "tama/config.h"
#include "tama/limits.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>

/* A configuration with what it owns. */
struct config_box {
	struct config config; /* first: a struct config is found in its box */
	atomic_uint refs;
	struct arena arena;
	char *locked; /* LIMIT_CONFIG_SECRETS bytes of sodium_malloc */
	size_t locked_used;
};

/* A file of declarations. */
struct config_source {
	struct str path; /* as messages show it */
	struct str text;
	unsigned order; /* 0: the file given; others as they were included */
	const struct config_source *includer; /* NULL for the file given */
	unsigned includer_line;
};

struct config_problem {
	struct str line;
	unsigned order, at, seq; /* of the file, in the file, as found */
};

/* What secret_file, credential or demo_secret answered; scripts hold only its address. */
struct config_secret {
	struct str raw; /* in locked memory; empty when it could not be read */
	bool is_demo;
	const struct config_source *source;
	unsigned line;
	struct config_secret *next;
};

enum decl_kind {
	DECL_GATEWAY,
	DECL_COUNTRY,
	DECL_OPERATOR,
	DECL_PARTNER,
	DECL_ACCOUNT,
	DECL_FLOAT,
	DECL_LIMITS,
	DECL_OFFER,
	DECL_SERVICE,
	DECL_CHANNEL,
	DECL_KINDS,
};

/* One declaration as it was written. The structs below begin with it. */
struct decl {
	enum decl_kind kind;
	struct str name;
	const struct config_source *source;
	unsigned line;
	unsigned index; /* among its kind */
	bool has_body;
	struct decl *next;
};

struct decl_list {
	struct decl *first, *last;
	size_t len;
};

/* What the typed readers leave. */
struct texts {
	const struct str *p;
	size_t n;
};

struct numbers {
	const int64_t *p;
	size_t n;
};

struct pairs {
	const struct account_field *p; /* in order of name */
	size_t n;
};

/* A secret, and the one before it while both stand. */
struct secrets_in_turn {
	struct str now, old;
};

struct decl_staff {
	bool is_given;
	int64_t refunds_a_day;
	struct pairs amount_a_day;
};

struct decl_gateway {
	struct decl decl;
	struct decl_staff staff;
	struct str data, mark, listen, admin, master_key;
	struct str socket, standby;
	int64_t verify;
	struct texts proxies;
	int64_t workers, connections, disk_reserve;
	bool allow_loopback, allow_http;
};

struct decl_country {
	struct decl decl;
	struct str cc, trunk, groups, currency, lang;
	int64_t nsn;
	struct texts mobile;
};

struct decl_wallet {
	bool is_given; /* every nested table's struct begins with this */
	struct str confirm, dial;
	int64_t push_delay;
};

struct decl_operator {
	struct decl decl;
	struct str country, title;
	struct texts prefixes, networks, aliases;
	struct decl_wallet wallet;
	bool out_of_service;
};

struct decl_partner {
	struct decl decl;
	int64_t id;
	struct str title;
};

struct decl_account_float {
	bool is_given;
	int64_t warn, stop, every; /* whole units until they are resolved; every -1: not said */
	struct str unknown; /* "sell", "stop" */
};

/* Agents' money with us. */
struct decl_float {
	struct decl decl;
	struct str partner, currency;
	int64_t opening, warn;
};

struct decl_window {
	bool is_given;
	int64_t count, value; /* whole units until they are resolved */
};

struct decl_velocity {
	bool is_given;
	struct decl_window windows[VELOCITY_WINDOWS];
};

struct decl_limits {
	struct decl decl;
	struct str partner, currency;
	struct decl_velocity payer, beneficiary, all;
};

struct decl_idempotent {
	bool is_given;
	int64_t keeps, absent_after, answers;
};

struct decl_queries {
	bool is_given;
	int64_t per_minute;
};

struct decl_account {
	struct decl decl;
	struct str partner, provider, base_url, ipn_base, currency;
	struct secrets_in_turn ipn_secret, signature_secret;
	struct decl_velocity cap;
	struct pairs fields;
	struct texts sources, private_nets;
	struct decl_idempotent idempotent;
	struct decl_queries queries;
	int64_t spacing; /* -1: the provider's own */
	struct numbers polls;
	struct decl_account_float float_;
	struct str reconcile;
	bool out_of_service;
};

struct decl_amount {
	bool is_given;
	int64_t min, max, step; /* whole units until they are resolved */
	struct numbers suggest;
};

struct decl_fee {
	bool is_given;
	int64_t flat, permille, step;
};

struct decl_leg {
	bool is_given;
	struct str account, verb;
	struct pairs services;
};

struct decl_refund {
	struct decl_leg leg;
	int64_t delay;
};

struct decl_late {
	bool is_given;
	int64_t after;
	struct str action;
};

struct decl_offer {
	struct decl decl;
	struct str partner, kind, country, paid_by;
	struct decl_amount amount;
	struct decl_fee fee;
	int64_t cost_permille, collect_fee;
	struct decl_leg collect, deliver;
	struct decl_refund refund;
	struct decl_late late;
	bool out_of_service;
};

struct decl_service {
	struct decl decl;
	struct str partner, dir;
};

struct decl_channel {
	struct decl decl;
	struct str partner, kind, dialect, country, service, lang;
	struct secrets_in_turn secret;
	struct texts codes, sources, private_nets;
	struct pairs keywords, fields;
	int64_t septets, timeout, resume, hop, in_flight;
	struct decl_velocity cap;
	bool open, out_of_service;
};

enum field_type {
	FIELD_TEXT,
	FIELD_TEXTS,
	FIELD_BOOL,
	FIELD_NUMBER,
	FIELD_NUMBERS,
	FIELD_DURATION, /* read into int64_t milliseconds */
	FIELD_DURATIONS,
	FIELD_SECRET, /* secret_file, credential or demo_secret, without the newline at its end */
	FIELD_SECRETS_IN_TURN, /* the same, or a list of two: the new one and the one before it */
	FIELD_KEY, /* the same, for 32 bytes or 64 hexadecimal digits */
	FIELD_TABLE,
	FIELD_PAIRS, /* names to texts */
	FIELD_SECRETS, /* names to texts or secrets */
	FIELD_AMOUNTS, /* names to whole numbers, read into pairs as their digits */
};

/* One field of a declaration or of a table in it. A list of them ends with a NULL name. */
struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	bool is_required;
	bool may_be_text; /* secrets: a plain text serves too */
	int64_t min, max, def; /* numbers and durations; def where it is absent */
	bool (*is_right)(struct str text); /* texts, and secrets that stand in a path */
	const char
		*want; /* what a right one is, for the message; FIELD_TABLE: it must not be empty */
	const struct field *fields; /* FIELD_TABLE */
};

struct decl_type {
	const char *word; /* "channel" */
	size_t size;
	const struct field *fields;
	bool (*is_name)(struct str name); /* NULL: the declaration has no name */
	const char *want;
};

extern const struct decl_type decl_types[DECL_KINDS];

struct loader {
	lua_State *L; /* of the call under way */
	struct lua_gate *gate;
	struct config_box *box;
	const struct config_options *options;
	bool *settings_used;
	struct str *settings_known; /* LIMIT_CONFIG_LIST of them */
	size_t settings_known_len;
	struct arena arena; /* what only loading needs */
	struct buf scratch;
	struct config_source *sources[LIMIT_CONFIG_FILES];
	size_t sources_len;
	struct decl_list decls[DECL_KINDS];
	struct config_secret *secrets;
	struct config_problem *problems; /* LIMIT_CONFIG_PROBLEMS of them */
	size_t problems_len;
	bool is_incomplete; /* declarations are missing: names would not resolve */
};

/* ---- config.c ----------------------------------------------------------------------------------
 */

/* Zeroed memory of the loader's arena, or of the configuration's. Raises past the ceiling. */
void *config_temp(struct loader *loader, size_t n);
void *config_alloc(struct loader *loader, size_t n);
struct str config_str(struct loader *loader, struct str s);

/* Notes "file:line: message". */
void config_problem_at(struct loader *loader, const struct config_source *source, unsigned line,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * Notes "file:line: kind "name": message" at the line of the field at `path` below the declaration:
 * keys parted by '/', "#3" for the third of a list; NULL for the declaration itself.
 */
void config_problem(struct loader *loader, const struct decl *decl, const char *path,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same for a whole line that begins with its place. */
void config_problem_line(
	struct loader *loader, const struct config_source *source, unsigned line, struct str whole);

/* ---- config_source.c ---------------------------------------------------------------------------
 */

/* Reads a whole regular file of at most max bytes into *out (emptied first). TAMA_EINVAL, TAMA_EIO.
 */
int config_read_file(const char *path, size_t max, struct buf *out, struct err *err);

/* What `path` means in a file at `from`; "a/b/../c" becomes "a/c". In the loader's arena. */
struct str config_path(struct loader *loader, struct str from, struct str path);

/* The line of the field at `path` of the table after `line`; `line` where it cannot be seen. */
unsigned config_source_line(const struct config_source *source, unsigned line, const char *path);

/* ---- config_secret.c ---------------------------------------------------------------------------
 */

/* Reads a secret; a problem is noted and raw left empty when it cannot be. */
struct config_secret *config_secret_file(
	struct loader *loader, const struct config_source *source, unsigned line, struct str path);
/* A secret that the service manager keeps for us: a file of that name in $CREDENTIALS_DIRECTORY. */
struct config_secret *config_secret_credential(
	struct loader *loader, const struct config_source *source, unsigned line, struct str name);
struct config_secret *config_secret_demo(
	struct loader *loader, const struct config_source *source, unsigned line, struct str text);

/* The secret at an address that a script handed back, or NULL. */
const struct config_secret *config_secret_of(const struct loader *loader, const void *address);

/* A copy in locked memory. */
struct str config_secret_keep(struct loader *loader, struct str text);

/* The text without the newline at its end. */
struct str config_secret_text(const struct config_secret *secret);

/* The 32 bytes: raw, or from 64 hexadecimal digits; {NULL, 0} when it is neither. */
struct str config_secret_key(struct loader *loader, const struct config_secret *secret);

/* ---- config_script.c ---------------------------------------------------------------------------
 */

/* Pushes the table of functions that configuration scripts see. [-0, +1] */
void config_script_push(struct loader *loader);

/* Reads and runs a file with that table on top of the gate's stack; problems are noted. [-0, +0] */
void config_script_run(struct loader *loader, struct config_source *source);

/* Notes the error that ended a call of the gate, which tells its own file and line. */
void config_script_problem(
	struct loader *loader, const struct config_source *source, const char *text);

/* ---- config_read.c -----------------------------------------------------------------------------
 */

/* Reads the table on top of the stack into the declaration. [-0, +0, e] */
void config_read_decl(struct loader *loader, struct decl *decl);

/* ---- config_hint.c --------------------------------------------------------------------------- */

/* ` (did you mean "x"?)` for the name among n that was probably meant, or nothing. */
struct str config_hint(struct loader *loader, struct str name, const struct str *names, size_t n);

/* ---- config_resolve.c, config_limits.c, config_offer.c, config_channel.c, config_service.c
 * ------ */

/* Turns all declarations into the configuration. */
void config_resolve(struct loader *loader);

/*
 * The declaration of that kind and name, which stands in the field at `path`. NULL when the name is
 * empty (its absence was noted) or nothing has it (noted now, with what was probably meant).
 */
const struct decl *config_named(struct loader *loader, const struct decl *at, const char *path,
	enum decl_kind kind, struct str name);

/* Notes what is wrong with the windows of the table at `path`. */
struct velocity config_velocity(struct loader *loader, const struct decl *at, const char *path,
	const struct decl_velocity *from, const struct currency *currency);
void config_resolve_limits(struct loader *loader);
void config_resolve_staff(struct loader *loader, const struct decl_gateway *gateway);
void config_resolve_offers(struct loader *loader);

/* ---- config_float.c ---- */

/* Whole units of a currency in minor ones. */
int64_t config_minor(const struct currency *currency, int64_t units);
void config_resolve_floats(struct loader *loader);
void config_resolve_account_float(
	struct loader *loader, const struct decl_account *a, struct account *out);
bool config_is_time(struct str s);

void config_resolve_services(struct loader *loader);
void config_resolve_channels(struct loader *loader);

/* ---- config_address.c ------------------------------------------------------------------------ */

/* Checks an address of HTTP; *url loses a '/' at its end. is_base: neither query nor fragment.
 * False when it is absent or wrong. */
bool config_check_url(struct loader *loader, const struct decl *at, const char *path, bool is_base,
	struct str *url);

/* Our own address as others see it, checked already: not this machine, but for demo and tests. */
void config_check_ours(
	struct loader *loader, const struct decl *at, const char *path, struct str url);

/* The address of whom we call, checked already: what is of private space must be listed. */
void config_check_peer(struct loader *loader, const struct decl *at, const char *path,
	struct str url, struct address_nets nets);

/* The networks of the field "private". */
struct address_nets config_private_nets(
	struct loader *loader, const struct decl *at, const struct texts *texts);

/* Reads "address:port" into the listener's address and port; the latter says which of the two. */
void config_check_listen(struct loader *loader, const struct decl_gateway *gateway,
	const char *path, struct str text, uint16_t *port_out);

/* ---- config_fields.c ---------------------------------------------------------------------------
 */

bool config_is_digits(struct str s);

#endif
