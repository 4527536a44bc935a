/*
 * Numbers that the C libraries of older distributions do not know. From 424 on
 * they are the same on all architectures.
 */
#ifndef NUMBERS_H
#define NUMBERS_H

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_fsconfig
#define SYS_fsconfig 431
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* <linux/openat2.h>, which is not there for every C library. */
struct how {
	uint64_t flags, mode, resolve;
};
#define RESOLVE_NO_XDEV 0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10

/* fstatat(2) under the names that the kernel gives it. */
#ifdef SYS_newfstatat
#define SYS_fstatat_ SYS_newfstatat
#define FSTATAT "newfstatat"
#else
#define SYS_fstatat_ SYS_fstatat64
#define FSTATAT "fstatat64"
#endif

#endif
