#include "textflag.h"

// fstrace_entry: see entry_linux_amd64.s. The stack and R0 are left as the kernel
// set them.
DATA	·stops+0(SB)/8, $0x380000
GLOBL	·stops(SB), NOPTR|RODATA, $8

TEXT fstrace_entry(SB), NOSPLIT|NOFRAME, $0
	MOVD	0(RSP), R1	// argc
	CMP	$2, R1
	BNE	start
	MOVD	8(RSP), R1	// argv[0]
	MOVD	$0x2d65636172747366, R2	// "fstrace-"
	MOVD	0(R1), R3
	CMP	R2, R3
	BNE	start
	MOVD	$0x6d696873, R2	// "shim"
	MOVWU	8(R1), R3
	CMP	R2, R3
	BNE	start
	MOVBU	12(R1), R3
	CBNZ	R3, start
	JMP	fstrace_stub(SB)

start:
	MOVD	R0, R20
	MOVD	$·saved(SB), R21

	// rt_sigprocmask(SIG_BLOCK, &stops, &saved.mask, 8)
	MOVD	$135, R8
	MOVD	$0, R0
	MOVD	$·stops(SB), R1
	ADD	$8, R21, R2
	MOVD	$8, R3
	SVC

	MOVD	$1, R22
	ADD	$16, R21, R23
next:
	// rt_sigaction(signal, NULL, &saved.actions[signal-1], 8)
	MOVD	$134, R8
	MOVD	R22, R0
	MOVD	$0, R1
	MOVD	R23, R2
	MOVD	$8, R3
	SVC
	ADD	$32, R23
	ADD	$1, R22
	CMP	$64, R22
	BLE	next

	MOVD	$0, R22
	ADD	$2064, R21, R23
nextfd:
	// saved.fdFlags[fd] = fcntl(fd, F_GETFD)
	MOVD	$25, R8
	MOVD	R22, R0
	MOVD	$1, R1
	SVC
	MOVD	R0, (R23)
	ADD	$8, R23
	ADD	$1, R22
	CMP	$3, R22
	BLT	nextfd

	// saved.timerSlack = prctl(PR_GET_TIMERSLACK)
	MOVD	$167, R8
	MOVD	$30, R0
	SVC
	MOVD	R0, 2088(R21)

	// prctl(PR_SET_TIMERSLACK, 1000000)
	MOVD	$167, R8
	MOVD	$29, R0
	MOVD	$1000000, R1
	SVC

	MOVD	$1, R24
	MOVD	R24, (R21)
	MOVD	R20, R0
	JMP	_rt0_arm64_linux(SB)
