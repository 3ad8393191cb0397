#include "tama/file.h"

#include "tama/err.h"

#include <errno.h>
#include <unistd.h>

int file_write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return TAMA_EIO;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}
