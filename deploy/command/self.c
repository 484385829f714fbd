#include "deploy/command/self.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int self_sibling(const char *program, char out[SELF_MAX])
{
	char self[SELF_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	if (snprintf(out, SELF_MAX, "%s/%s", self, program) >= SELF_MAX)
		return -ENAMETOOLONG;
	return access(out, X_OK) == 0 ? 0 : -errno;
}
