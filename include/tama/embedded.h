/* Files compiled into the binary: standard dialects, the menu prelude, the schema. */
#ifndef TAMA_EMBEDDED_H
#define TAMA_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
	const char *
		name; /* path below src/: "dialects/ussd/africastalking.lua"; NULL ends the table */
	const char *data; /* NUL-terminated; the NUL is not counted */
	size_t len;
};

extern const struct embedded_file embedded_files[];

/* The file of that name, or NULL. */
const struct embedded_file *embedded_find(const char *name);

#endif
