/* What every HTTP message of ours has in common. */
#include "tama/http.h"

struct str http_field_get(const struct http_field *fields, size_t len, struct str name)
{
	for (size_t i = 0; i < len; i++) {
		if (str_eq_nocase(fields[i].name, name))
			return fields[i].value;
	}
	return (struct str){NULL, 0};
}
