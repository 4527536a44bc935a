/* Flags are given by name, as far as a call has any. */
#include "selfcheck.h"

int main(int argc, char **argv)
{
	(void)argc;
	scratch(argv);
	render("flags");
	file("f");
	dir("d");
	char buffer[512];
	begin();

	const int at = AT_FDCWD;
	traced(syscall(SYS_openat, at, "f", O_RDONLY), 0,
	       "openat read file ~/f as \"f\" flags=O_RDONLY");
	traced(syscall(SYS_openat, at, "f", O_RDONLY | O_CLOEXEC), 0,
	       "openat read file ~/f as \"f\" flags=O_CLOEXEC|O_RDONLY");
	traced(syscall(SYS_openat, at, "f", O_WRONLY | O_CREAT | O_TRUNC, 0644), 0,
	       "openat write file ~/f as \"f\" flags=O_CREAT|O_TRUNC|O_WRONLY");
	traced(syscall(SYS_openat, at, "f", O_RDWR | O_APPEND | O_NONBLOCK | O_NOCTTY), 0,
	       "openat write file ~/f as \"f\" flags=O_APPEND|O_NOCTTY|O_NONBLOCK|O_RDWR");
	traced(syscall(SYS_openat, at, "f", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST,
	       "openat write file ~/f as \"f\" flags=O_CREAT|O_EXCL|O_WRONLY");
	traced(syscall(SYS_openat, at, "d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), 0,
	       "openat stat dir ~/d as \"d\" flags=O_DIRECTORY|O_NOFOLLOW|O_RDONLY");

	traced(syscall(SYS_fstatat_, at, "f", buffer, 0), 0, FSTATAT " stat file ~/f as \"f\"");
	traced(syscall(SYS_fstatat_, at, "f", buffer, AT_SYMLINK_NOFOLLOW), 0,
	       FSTATAT " stat file ~/f as \"f\" flags=AT_SYMLINK_NOFOLLOW");
	traced(syscall(SYS_fstatat_, at, "f", buffer, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT), 0,
	       FSTATAT " stat file ~/f as \"f\" flags=AT_NO_AUTOMOUNT|AT_SYMLINK_NOFOLLOW");
	traced(syscall(SYS_faccessat2, at, "f", R_OK, AT_EACCESS), 0,
	       "faccessat2 stat file ~/f as \"f\" flags=AT_EACCESS");
	traced(syscall(SYS_name_to_handle_at, at, "f", buffer, buffer, 0x200 | AT_SYMLINK_FOLLOW), ANY,
	       "name_to_handle_at stat file ~/f as \"f\" flags=AT_HANDLE_FID|AT_SYMLINK_FOLLOW");
	traced(syscall(SYS_linkat, at, "f", at, "g", AT_SYMLINK_FOLLOW), 0,
	       "linkat create file ~/f as \"f\" -> ~/g absent as \"g\" flags=AT_SYMLINK_FOLLOW");
	traced(syscall(SYS_renameat2, at, "g", at, "h", 1), 0,
	       "renameat2 rename file ~/g as \"g\" -> ~/h absent as \"h\" flags=RENAME_NOREPLACE");
	traced(syscall(SYS_unlinkat, at, "d", AT_REMOVEDIR), 0,
	       "unlinkat delete dir ~/d as \"d\" flags=AT_REMOVEDIR");
	return end();
}
