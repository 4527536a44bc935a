#include "textflag.h"

// fstrace_stub: see stub_linux_amd64.s. R8 to R15 are the kernel's own business, or free.
//
// R19 the initial stack, R20 the socket, R21 and R22 what is to be read, R23 the op; 0
// before there is one. Constants must fit into instructions: what the assembler would put
// behind the code might end up behind the mark.
TEXT fstrace_stub(SB), NOSPLIT|NOFRAME, $0
	MOVD	RSP, R19
	MOVD	16(R19), R1	// argv[1]
	MOVD	$0, R20
	MOVD	$10, R3
digit:
	MOVBU	(R1), R2
	SUB	$48, R2, R2
	CMP	$9, R2
	BHI	parsed
	MADD	R3, R2, R20, R20	// R20*R3 + R2
	ADD	$1, R1, R1
	B	digit
parsed:
	MOVD	$0, R23
	MOVD	R19, R21	// the size, in place of argc
	ADD	$8, R19, R22

read:
	MOVD	$63, R8	// read
	MOVD	R20, R0
	MOVD	R21, R1
	SUB	R21, R22, R2
	SVC
	CMN	$4, R0	// EINTR
	BEQ	read
	CMP	$0, R0
	BLE	die
	ADD	R0, R21, R21
	CMP	R21, R22
	BNE	read
	CBNZ	R23, run

	// mmap(programBase, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_POPULATE, -1, 0)
	MOVD	$222, R8
	MOVD	$0x100000000, R0
	MOVD	(R19), R1
	MOVD	$3, R2
	MOVD	$0x8032, R3
	MOVD	$-1, R4
	MOVD	$0, R5
	SVC
	MOVD	$0x100000000, R23
	CMP	R0, R23
	BNE	die
	MOVD	R23, R21
	MOVD	(R19), R22
	ADD	R23, R22, R22
	B	read

run:
	MOVD	0(R23), R8	// the call's number
	MOVD	8(R23), R0	// its arguments
	MOVD	16(R23), R1
	MOVD	24(R23), R2
	MOVD	32(R23), R3
	MOVD	40(R23), R4
	MOVD	48(R23), R5
	CMN	$1, R0	// the socket
	BNE	call
	MOVD	R20, R0
call:
	CMN	$1, R8	// no call: its first argument is the result
	BEQ	called
	SVC
called:
	MOVD	56(R23), R6	// where the result goes
	CBZ	R6, branch
	MOVD	R0, (R6)
branch:
	MOVD	64(R23), R6	// results and the ops that follow them
case:
	MOVD	8(R6), R7
	CBZ	R7, other
	MOVD	0(R6), R9
	CMP	R9, R0
	BEQ	taken
	ADD	$16, R6, R6
	B	case
taken:
	MOVD	R7, R23
	B	run
other:
	CMN	$4095, R0	// -4095 to -1 are errors
	BHS	failed
	MOVD	72(R23), R23
	B	run
failed:
	MOVD	80(R23), R23
	B	run

die:
	MOVD	$94, R8	// exit_group
	MOVD	$125, R0	// ExitFailed
	SVC
	B	die
	WORD	$0x65646e65	// stubEnd
	WORD	$0x62757473
	WORD	$0x65646e65
	WORD	$0x62757473

// func stubAddress() uintptr
TEXT ·stubAddress(SB), NOSPLIT, $0-8
	MOVD	$fstrace_stub(SB), R0
	MOVD	R0, ret+0(FP)
	RET
