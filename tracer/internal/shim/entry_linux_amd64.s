#include "textflag.h"

// fstrace_entry is the process's first instruction where the binary is linked
// with -ldflags=-E=fstrace_entry. A process that is called "fstrace-shim" (Name) and has one
// argument is the shim, and the Go runtime is not started. In any other it saves the signal mask, all dispositions, and
// which standard descriptors are open, which the Go runtime is about to change, in
// ·saved, and goes on to the runtime's own entry. The stack and RDX are left as the kernel set them.
//
// It also blocks the terminal's stop signals in every thread that the runtime will
// start, so that the main thread alone decides whether they take effect (tracer.HoldStops); and
// it gives them a timer slack of a millisecond, which one of them keeps (timerslack.go).
//
// struct savedState: done 0, mask 8, actions 16 (32 bytes each), fdFlags 2064,
// timerSlack 2088.
DATA	·stops+0(SB)/8, $0x380000 // 1 << (n-1) for SIGTSTP 20, SIGTTIN 21, SIGTTOU 22
GLOBL	·stops(SB), NOPTR|RODATA, $8

TEXT fstrace_entry(SB), NOSPLIT|NOFRAME, $0
	CMPQ	0(SP), $2	// argc
	JNE	start
	MOVQ	8(SP), AX	// argv[0]
	MOVQ	$0x2d65636172747366, CX	// "fstrace-"
	CMPQ	CX, 0(AX)
	JNE	start
	CMPL	8(AX), $0x6d696873	// "shim"
	JNE	start
	CMPB	12(AX), $0
	JNE	start
	JMP	fstrace_stub(SB)

start:
	MOVQ	DX, R15
	LEAQ	·saved(SB), R12

	// rt_sigprocmask(SIG_BLOCK, &stops, &saved.mask, 8)
	MOVQ	$14, AX
	MOVQ	$0, DI
	LEAQ	·stops(SB), SI
	LEAQ	8(R12), DX
	MOVQ	$8, R10
	SYSCALL

	MOVQ	$1, R13
	LEAQ	16(R12), R14
next:
	// rt_sigaction(signal, NULL, &saved.actions[signal-1], 8)
	MOVQ	$13, AX
	MOVQ	R13, DI
	MOVQ	$0, SI
	MOVQ	R14, DX
	MOVQ	$8, R10
	SYSCALL
	ADDQ	$32, R14
	INCQ	R13
	CMPQ	R13, $64
	JLE	next

	MOVQ	$0, R13
	LEAQ	2064(R12), R14
nextfd:
	// saved.fdFlags[fd] = fcntl(fd, F_GETFD)
	MOVQ	$72, AX
	MOVQ	R13, DI
	MOVQ	$1, SI
	SYSCALL
	MOVQ	AX, 0(R14)
	ADDQ	$8, R14
	INCQ	R13
	CMPQ	R13, $3
	JLT	nextfd

	// saved.timerSlack = prctl(PR_GET_TIMERSLACK)
	MOVQ	$157, AX
	MOVQ	$30, DI
	SYSCALL
	MOVQ	AX, 2088(R12)

	// prctl(PR_SET_TIMERSLACK, 1000000)
	MOVQ	$157, AX
	MOVQ	$29, DI
	MOVQ	$1000000, SI
	SYSCALL

	MOVQ	$1, 0(R12)
	MOVQ	R15, DX
	JMP	_rt0_amd64_linux(SB)
