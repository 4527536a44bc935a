package shim

import "syscall"

const sysSeccomp = syscall.SYS_SECCOMP
