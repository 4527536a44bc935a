/* Prints whom it runs as, and whether the kernel takes it for a privileged program. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	uid_t real, effective, saved;
	gid_t rgid, egid, sgid;

	if (getresuid(&real, &effective, &saved) || getresgid(&rgid, &egid, &sgid))
		return 1;
	printf("uid %d %d %d gid %d %d %d secure %lu dumpable %d no_new_privs %d\n", real, effective, saved, rgid, egid, sgid,
	       getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 0;
}
