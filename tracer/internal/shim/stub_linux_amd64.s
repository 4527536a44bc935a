#include "textflag.h"

// fstrace_stub is the shim: a program of its own, executed with two arguments, Name and the
// number of its socket. It reads a program from there and runs it (program.go): the size of
// what follows, 8 bytes, which is put at the address programBase; it begins with the first op.
//
// It is copied (image.go). So it refers to nothing outside, and ends with a mark.
//
// R12 the socket, R13 and R14 what is to be read, R15 the op; 0 before there is one.
TEXT fstrace_stub(SB), NOSPLIT|NOFRAME, $0
	MOVQ	SP, BX
	MOVQ	16(BX), SI	// argv[1]
	MOVQ	$0, R12
digit:
	MOVBLZX	(SI), AX
	SUBL	$48, AX
	CMPL	AX, $9
	JHI	parsed
	IMULQ	$10, R12
	ADDQ	AX, R12
	INCQ	SI
	JMP	digit
parsed:
	MOVQ	$0, R15
	MOVQ	BX, R13	// the size, in place of argc
	LEAQ	8(BX), R14

read:
	MOVQ	$0, AX	// read
	MOVQ	R12, DI
	MOVQ	R13, SI
	MOVQ	R14, DX
	SUBQ	R13, DX
	SYSCALL
	CMPQ	AX, $-4	// EINTR
	JEQ	read
	CMPQ	AX, $0
	JLE	die
	ADDQ	AX, R13
	CMPQ	R13, R14
	JNE	read
	CMPQ	R15, $0
	JNE	run

	// mmap(programBase, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_POPULATE, -1, 0)
	MOVQ	$9, AX
	MOVQ	$0x100000000, DI
	MOVQ	(BX), SI
	MOVQ	$3, DX
	MOVQ	$0x8032, R10
	MOVQ	$-1, R8
	MOVQ	$0, R9
	SYSCALL
	MOVQ	$0x100000000, R15
	CMPQ	AX, R15
	JNE	die
	MOVQ	R15, R13
	MOVQ	(BX), R14
	ADDQ	R15, R14
	JMP	read

run:
	MOVQ	0(R15), AX	// the call's number
	MOVQ	8(R15), DI	// its arguments
	MOVQ	16(R15), SI
	MOVQ	24(R15), DX
	MOVQ	32(R15), R10
	MOVQ	40(R15), R8
	MOVQ	48(R15), R9
	CMPQ	DI, $-1	// the socket
	JNE	call
	MOVQ	R12, DI
call:
	CMPQ	AX, $-1	// no call: its first argument is the result
	JEQ	move
	SYSCALL
	JMP	called
move:
	MOVQ	DI, AX
called:
	MOVQ	56(R15), CX	// where the result goes
	CMPQ	CX, $0
	JEQ	branch
	MOVQ	AX, (CX)
branch:
	MOVQ	64(R15), CX	// results and the ops that follow them
case:
	MOVQ	8(CX), DX
	CMPQ	DX, $0
	JEQ	other
	CMPQ	AX, 0(CX)
	JEQ	taken
	ADDQ	$16, CX
	JMP	case
taken:
	MOVQ	DX, R15
	JMP	run
other:
	CMPQ	AX, $-4095
	JCC	failed
	MOVQ	72(R15), R15
	JMP	run
failed:
	MOVQ	80(R15), R15
	JMP	run

die:
	MOVQ	$231, AX	// exit_group
	MOVQ	$125, DI	// ExitFailed
	SYSCALL
	JMP	die
	LONG	$0x65646e65	// stubEnd
	LONG	$0x62757473
	LONG	$0x65646e65
	LONG	$0x62757473

// func stubAddress() uintptr
TEXT ·stubAddress(SB), NOSPLIT, $0-8
	LEAQ	fstrace_stub(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
