#!/bin/sh
# Turns files into a C table (include/tama/embedded.h): one source for dialects, menu prelude, schema.
set -eu
echo '#include "tama/embedded.h"'
i=0
for f in "$@"; do
	printf 'static const unsigned char file_%d[] = {' "$i"
	od -An -v -tu1 "$f" | sed -E 's/ +/,/g; s/^,//; s/$/,/'
	echo '0};'
	i=$((i + 1))
done
echo 'const struct embedded_file embedded_files[] = {'
i=0
for f in "$@"; do
	printf '{"%s", (const char *)file_%d, sizeof(file_%d) - 1},\n' "${f#src/}" "$i" "$i"
	i=$((i + 1))
done
echo '{0, 0, 0}};'
