/*
 * Secrets go from their file straight into locked memory; Lua sees the address of a note about
 * them.
 */
#include "config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES 32

static char *locked_take(struct loader *loader, size_t n)
{
	struct config_box *box = loader->box;
	if (n > LIMIT_CONFIG_SECRETS - box->locked_used)
		(void)luaL_error(loader->L, "the configuration has too many secrets");
	char *p = box->locked + box->locked_used;
	box->locked_used += n;
	return p;
}

struct str config_secret_keep(struct loader *loader, struct str text)
{
	char *p = locked_take(loader, text.n);
	if (text.n > 0)
		memcpy(p, text.p, text.n);
	return (struct str){p, text.n};
}

static struct config_secret *secret_note(
	struct loader *loader, const struct config_source *source, unsigned line)
{
	struct config_secret *secret = config_temp(loader, sizeof(*secret));
	secret->source = source;
	secret->line = line;
	secret->next = loader->secrets;
	loader->secrets = secret;
	return secret;
}

/* Why the file may not hold a secret, or NULL. Whoever can change it can also choose the secret. */
static const char *objection(int fd, size_t *len)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return "it belongs to another user";
	if ((st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0)
		return "its permissions are too wide: chmod 600, or 640 with a group of its own";
	if (st.st_size == 0)
		return "it is empty";
	if (st.st_size > LIMIT_CONFIG_SECRET)
		return "it is larger than a secret can be";
	*len = (size_t)st.st_size;
	return NULL;
}

static bool read_exactly(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, p, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static struct config_secret *secret_read(
	struct loader *loader, const struct config_source *source, unsigned line, struct str whole)
{
	struct config_secret *secret = secret_note(loader, source, line);
	/* Taken before the file is opened: it may raise, and a descriptor would be lost. */
	char *room = locked_take(loader, LIMIT_CONFIG_SECRET);
	size_t len = 0;
	int fd = open(whole.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = fd < 0 ? strerror(errno) : objection(fd, &len);
	if (why == NULL && !read_exactly(fd, room, len))
		why = "it cannot be read whole";
	if (fd >= 0)
		(void)close(fd);
	loader->box->locked_used -= LIMIT_CONFIG_SECRET - len;
	if (why != NULL)
		config_problem_at(
			loader, source, line, "secret file \"%.*s\": %s", STR_ARG(whole), why);
	else
		secret->raw = (struct str){room, len};
	return secret;
}

struct config_secret *config_secret_file(
	struct loader *loader, const struct config_source *source, unsigned line, struct str path)
{
	return secret_read(loader, source, line, config_path(loader, source->path, path));
}

/* Names as systemd.exec(5) has them, so that one leads nowhere but into the folder. */
static bool is_credential(struct str name)
{
	return name.n > 0 && name.p[0] != '.' && str_find(name, '/') < 0;
}

struct config_secret *config_secret_credential(
	struct loader *loader, const struct config_source *source, unsigned line, struct str name)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	if (folder != NULL && folder[0] == '/' && is_credential(name))
		return secret_read(loader, source, line,
			arena_printf(&loader->arena, "%s/%.*s", folder, STR_ARG(name)));
	config_problem_at(loader, source, line, "credential \"%.*s\": %s", STR_ARG(name),
		is_credential(name)
			? "the service manager has given none ($CREDENTIALS_DIRECTORY is not set)"
			: "that is no name of one");
	return secret_note(loader, source, line);
}

struct config_secret *config_secret_demo(
	struct loader *loader, const struct config_source *source, unsigned line, struct str text)
{
	struct config_secret *secret = secret_note(loader, source, line);
	secret->is_demo = true;
	secret->raw = config_secret_keep(loader, text);
	if (text.n == 0)
		config_problem_at(loader, source, line, "demo_secret: the text is empty");
	return secret;
}

const struct config_secret *config_secret_of(const struct loader *loader, const void *address)
{
	const struct config_secret *secret = loader->secrets;
	while (secret != NULL && secret != address)
		secret = secret->next;
	return secret;
}

struct str config_secret_text(const struct config_secret *secret)
{
	struct str text = secret->raw;
	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	if (text.n > 0 && text.p[text.n - 1] == '\r')
		text.n--;
	return text;
}

struct str config_secret_key(struct loader *loader, const struct config_secret *secret)
{
	/* Exactly 32 bytes are the key itself, also when the last happens to be a newline. */
	if (secret->raw.n == KEY_BYTES)
		return secret->raw;
	struct str hex = config_secret_text(secret);
	unsigned char *key = (unsigned char *)locked_take(loader, KEY_BYTES);
	size_t len = 0;
	if (hex.n != 2 * KEY_BYTES ||
		sodium_hex2bin(key, KEY_BYTES, hex.p, hex.n, NULL, &len, NULL) != 0 ||
		len != KEY_BYTES)
		return (struct str){NULL, 0};
	return (struct str){(const char *)key, KEY_BYTES};
}
