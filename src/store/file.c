#include "tama/file.h"

#include "tama/err.h"

#include <errno.h>
#include <sys/stat.h>
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

int file_give_to_owner(int fd, int at, const char *dir)
{
	struct stat owner;

	if (geteuid() != 0)
		return 0;
	if (fstatat(at, dir, &owner, 0) != 0 || fchown(fd, owner.st_uid, owner.st_gid) != 0)
		return TAMA_EIO;
	return 0;
}
