/* Armed only in test builds. */
#include "tama/crash.h"

#ifdef TAMA_TEST
#include <signal.h>
#include <stdatomic.h>

void crash_point(const char *name)
{
	static atomic_int times;
	const char *armed = getenv("TAMA_CRASH");
	size_t n = strlen(name);
	long when = 1;
	int how = SIGKILL;

	if (armed != NULL && strncmp(armed, "stop:", 5) == 0) {
		how = SIGSTOP;
		armed += 5;
	}
	if (armed == NULL || strncmp(armed, name, n) != 0)
		return;
	if (armed[n] == ':')
		when = strtol(armed + n + 1, NULL, 10);
	else if (armed[n] != '\0')
		return;
	if (atomic_fetch_add(&times, 1) + 1 == when)
		(void)raise(how);
}
#else
typedef int crash_points_are_compiled_out;
#endif
