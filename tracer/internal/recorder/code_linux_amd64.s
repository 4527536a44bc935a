#include "go_asm.h"
#include "textflag.h"

// The code that runs inside processes. It is not called here: fstrace copies it into a page of
// the process (code.go), so that it refers to nothing by address but what is at a known
// distance from its own entry (layout.go).
//
// In:  rax is the number of a call, rdi rsi rdx r10 r8 r9 its arguments, rcx is the address
//      behind a syscall instruction, which makes the call where it is not recorded, and r11
//      is the address of the entry.
// Out: rax is the result. All other registers are as they were, but rcx, r11 and the flags,
//      which the kernel does not promise either, and the code has gone on at rcx.
//
// It uses no stack but its frame below the red zone, calls nothing, and can be interrupted by
// a signal at any instruction. What handlers may do there: record calls themselves; never
// return (siglongjmp), which loses nothing but the answer; fork, in whose child the token is
// 0 and the slots are not mapped, so that the first touch of them is a fault.
//
// Some instructions may fault: those that touch the process's memory and, in such a child,
// the slots. They stand between two labels; the tracer, which sees SIGSEGV and SIGBUS first,
// has the thread go on at a third (the table).

// Its stack frame. The code that called it may use 128 bytes below the stack pointer.
#define redZone 128
#define frameBack 0   // where to go on
#define frameCall 8   // rax
#define frameBX 16    // rbx
#define frameArgs 24  // rdi rsi rdx r10 r8 r9
#define frameWord 72  // the slot's, when it was begun
#define frameEntry 80 // the code's own address
#define frameOpen 88  // what must be open for the call, until it is made
#define frameRes 88   // the call's result
#define frameSize (redZone+96)

// Sizes of what the kernel fills in.
#define sizeofStat 144
#define sizeofStatx 256

// AT is what is at an offset from the base, ATINDEX at an index from there.
#define AT(offset) (offset-const_entry)(R11)
#define ATINDEX(offset, index) (offset-const_entry)(R11)(index*1)

TEXT code<>(SB), NOSPLIT|NOFRAME, $0-0
	// The table. Nobody takes these jumps: code.go reads where they lead.
	JMP start
	JMP behind
	JMP kept
	JMP gate
	JMP gateEnd
	JMP slow
	JMP frame
	JMP frameEnd
	JMP unframe
	JMP record
	JMP claim
	JMP claimed
	JMP begun
	JMP checked
	JMP giveBack
	JMP free
	JMP freeEnd
	JMP restore
	JMP answer
	JMP answerEnd
	JMP unanswered
	JMP close
	JMP closeEnd
	JMP done
	JMP left
	JMP refuse
	JMP refuseEnd
	JMP end
	PCALIGN $256 // const_entry

start:
	// Not a call that may be recorded: made as if nobody had come here.
	CMPQ AX, $const_classCount
	JCC  slow
	CMPB ATINDEX(const_classes, AX), $0
	JEQ  slow

	// Not the process that the slots are for.
	CMPQ AT(const_token), $0
	JEQ  slow

gate:
	// fstrace wants to be notified for now.
	TESTL $const_openCalls, AT(const_ringOpen)
	JEQ   slow

gateEnd:
	// The frame. Its stores are the first touch of the stack.
	LEAQ -frameSize(SP), SP

frame:
	MOVQ CX, frameBack(SP)
	MOVQ AX, frameCall(SP)
	MOVQ BX, frameBX(SP)
	MOVQ DI, frameArgs+0(SP)
	MOVQ SI, frameArgs+8(SP)
	MOVQ DX, frameArgs+16(SP)
	MOVQ R10, frameArgs+24(SP)
	MOVQ R8, frameArgs+32(SP)
	MOVQ R9, frameArgs+40(SP)
	MOVQ R11, frameEntry(SP)

frameEnd:
	// BX is the slot from when it is taken: giveBack must know.
	XORL BX, BX
	MOVL $const_triesForSlot, R9

record:
	MOVL AT(const_ringHint), R8

try:
	// The next slot after the one taken last, if it is free. The first is no slot.
	INCL  R8
	ANDL  $(const_slotCount-1), R8
	JEQ   try
	MOVL  R8, R10
	SHLQ  $const_slotShift, R10
	LEAQ  ATINDEX(const_ring, R10), R10
	XORL  AX, AX
	CMPQ  const_slotWord(R10), $0
	JNE   next
	MOVL  $const_phaseTaken, DX

claim:
	LOCK
	CMPXCHGQ DX, const_slotWord(R10)
	JEQ   taken

next:
	DECL R9
	JNE  try
	JMP  giveBack

taken:
	MOVQ R10, BX

claimed:
	MOVL R8, AT(const_ringHint)

	// SI is the path, by the call's class, which stays in R9. NULL would fault: that is
	// left to the kernel.
	MOVQ    frameCall(SP), AX
	MOVBLZX ATINDEX(const_classes, AX), R9
	MOVQ    frameArgs+0(SP), SI
	TESTL   $const_classPath1, R9
	JEQ     copyFrom
	MOVQ    frameArgs+8(SP), SI

copyFrom:
	TESTQ SI, SI
	JEQ   giveBack

	// Copy it, eight bytes at a time where that does not cross a page. DI goes to its NUL, or
	// to R10, where no eight bytes fit.
	LEAQ const_slotPath(BX), DI
	LEAQ (const_slotEnd-8)(BX), R10
	MOVQ $0x0101010101010101, CX
	MOVQ $0x8080808080808080, R8

words:
	MOVL SI, AX
	ANDL $(const_pageSize-1), AX
	CMPL AX, $(const_pageSize-8)
	JHI  bytes
	MOVQ (SI), AX
	MOVQ AX, (DI)
	MOVQ AX, DX
	SUBQ CX, DX
	NOTQ AX
	ANDQ AX, DX
	ANDQ R8, DX
	JNE  found
	ADDQ $8, SI
	ADDQ $8, DI
	CMPQ DI, R10
	JCS  words
	JMP  giveBack

bytes:
	// Near the end of a page, a byte.
	MOVB  (SI), AX
	MOVB  AX, (DI)
	TESTB AX, AX
	JEQ   copied
	INCQ  SI
	INCQ  DI
	CMPQ  DI, R10
	JCS   words
	JMP   giveBack

found:
	// The lowest bit that is set is that of the first NUL.
	BSFQ DX, DX
	SHRL $3, DX
	ADDQ DX, DI

copied:
	// Its length. An empty path stands for a descriptor, or is an error.
	LEAQ const_slotPath(BX), SI
	SUBQ SI, DI
	JEQ  giveBack
	MOVL DI, const_slotLength(BX)

	// The call must leave its path alone: it may have to be made again (below). DX is the
	// buffer and CX its size, of a call that has one.
	TESTL $(const_classStat|const_classStatx|const_classReadlink), R9
	JEQ   apart
	MOVQ  frameArgs+0(SP), R8
	MOVQ  frameArgs+8(SP), DX
	MOVL  frameArgs+16(SP), CX
	TESTL $const_classPath1, R9
	JEQ   size
	MOVQ  DX, R8
	MOVQ  frameArgs+16(SP), DX
	MOVL  frameArgs+24(SP), CX

size:
	TESTL $const_classReadlink, R9
	JNE   overlap
	MOVL  $sizeofStat, CX
	TESTL $const_classStatx, R9
	JEQ   overlap
	MOVQ  frameArgs+32(SP), DX
	MOVL  $sizeofStatx, CX

overlap:
	MOVQ DX, AX
	SUBQ R8, AX
	CMPQ AX, DI
	JLS  giveBack // the buffer begins in the path
	SUBQ DX, R8
	CMPQ R8, CX
	JCS  giveBack // the path begins in the buffer

apart:
	// CX becomes what must be open for this call.
	MOVL $const_openCalls, CX

	// /proc and /dev have links that change without a call that is notified.
	MOVL (SI), AX
	CMPB AX, $'/'
	JNE  relative
	CMPL AX, $0x7665642f // "/dev"
	JEQ  giveBack
	CMPL AX, $0x6f72702f // "/pro"
	JNE  fill
	CMPB 4(SI), $'c'
	JEQ  giveBack
	JMP  fill

relative:
	// A path from the working directory, if that is settled. Not from a descriptor.
	TESTL $const_openRelative, AT(const_ringOpen)
	JEQ   giveBack
	ORL   $const_openRelative, CX
	TESTL $const_classPath1, R9
	JEQ   fill
	CMPL  frameArgs+0(SP), $-100 // AT_FDCWD
	JNE   giveBack

fill:
	MOVQ CX, frameOpen(SP)

	// Its thread, if there is more than one.
	XORL  AX, AX
	TESTL $const_openThreads, AT(const_ringOpen)
	JEQ   thread
	MOVL  $const_gettid, AX
	SYSCALL
	MOVQ  frameEntry(SP), R11

thread:
	MOVL AX, const_slotThread(BX)

	// The call, from whose arguments DI, SI, DX, R10 and R8 are what they were.
	MOVQ frameCall(SP), AX
	MOVL AX, const_slotCall(BX)
	MOVQ frameArgs+0(SP), DI
	MOVQ DI, const_slotArgs+0(BX)
	MOVQ frameArgs+8(SP), SI
	MOVQ SI, const_slotArgs+8(BX)
	MOVQ frameArgs+16(SP), DX
	MOVQ DX, const_slotArgs+16(BX)
	MOVQ frameArgs+24(SP), R10
	MOVQ R10, const_slotArgs+24(BX)
	MOVQ frameArgs+32(SP), R8

	// Its number, by an instruction that no other memory access passes: what others do after
	// this call has returned has a higher one.
	MOVL $1, R9
	LOCK
	XADDQ R9, AT(const_counter)
	SHLQ $const_phaseBits, R9
	ORQ  $const_phaseBegun, R9
	MOVQ R9, frameWord(SP)

	// Begun: from here on the slot is worth what a notification is. XCHGQ, so that what comes
	// next is not read before.
	XCHGQ R9, const_slotWord(BX)

begun:
	// fstrace may have closed what the call needs. Then either fstrace has found this slot begun
	// when it drained after that, or it is withdrawn here, and the call made as if not here.
	MOVL AT(const_ringOpen), CX
	ANDL frameOpen(SP), CX
	CMPL CX, frameOpen(SP)
	JEQ  checked
	MOVQ frameWord(SP), AX
	LEAQ (const_phaseVoid-const_phaseBegun)(AX), CX
	LOCK
	CMPXCHGQ CX, const_slotWord(BX)
	JEQ  restore

checked:
	// The call itself, with the key.
	MOVQ frameCall(SP), AX
	MOVQ AT(const_keyed), R9
	SYSCALL

behind:
	MOVQ frameEntry(SP), R11
	MOVQ AX, frameRes(SP)

kept:
	// A handler may have forked, and this be the child, whose call nobody has recorded. It is
	// made again, and notified.
	CMPQ AT(const_token), $0
	JEQ  restore

	// What may be the word of a filter, or of somebody who has not read the path, is to be
	// heard from the same call without the key. EINVAL of readlink says: no link.
	CMPQ    AX, $-38 // ENOSYS
	JEQ     refuse
	CMPQ    AX, $-14 // EFAULT
	JEQ     refuse
	CMPQ    AX, $-1  // EPERM
	JEQ     refuse
	MOVQ    frameCall(SP), CX
	MOVBLZX ATINDEX(const_classes, CX), R9
	CMPQ    AX, $-22 // EINVAL
	JNE     answer
	TESTL   $const_classReadlink, R9
	JEQ     refuse
	MOVL    frameArgs+16(SP), CX
	TESTL   $const_classPath1, R9
	JEQ     sized
	MOVL    frameArgs+24(SP), CX

sized:
	TESTL CX, CX
	JLE   refuse

answer:
	// Unless fstrace does not wait for it any more. It may have given the call already.
	MOVQ frameWord(SP), AX
	LEAQ (const_phaseAnswering-const_phaseBegun)(AX), CX
	LOCK
	CMPXCHGQ CX, const_slotWord(BX)
	JEQ  answering
	MOVQ frameWord(SP), AX
	ADDQ $(const_phaseGiven-const_phaseBegun), AX
	LOCK
	CMPXCHGQ CX, const_slotWord(BX)
	JNE  done

answering:
	MOVQ frameRes(SP), AX
	MOVQ AX, const_slotResult(BX)

	// An error, or a call that tells no more than its result.
	MOVL  $const_toldNothing, const_slotTold(BX)
	TESTQ AX, AX
	JLT   close
	TESTL $(const_classStat|const_classStatx|const_classReadlink), R9
	JEQ   close

	// CX is the buffer.
	MOVQ  frameArgs+8(SP), CX
	TESTL $const_classPath1, R9
	JEQ   told
	MOVQ  frameArgs+16(SP), CX

told:
	TESTL $const_classReadlink, R9
	JNE   target
	TESTL $const_classStatx, R9
	JNE   statx

	// struct stat: device, inode, links, mode and owner, group, size, times.
	MOVQ 0(CX), AX
	MOVQ AX, const_slotAnswer+0(BX)
	MOVQ 8(CX), AX
	MOVQ AX, const_slotAnswer+8(BX)
	MOVQ 16(CX), AX
	MOVQ AX, const_slotAnswer+16(BX)
	MOVQ 24(CX), AX
	MOVQ AX, const_slotAnswer+24(BX)
	MOVQ 32(CX), AX
	MOVQ AX, const_slotAnswer+32(BX)
	MOVQ 48(CX), AX
	MOVQ AX, const_slotAnswer+40(BX)
	MOVQ 88(CX), AX
	MOVQ AX, const_slotAnswer+48(BX)
	MOVQ 96(CX), AX
	MOVQ AX, const_slotAnswer+56(BX)
	MOVQ 104(CX), AX
	MOVQ AX, const_slotAnswer+64(BX)
	MOVQ 112(CX), AX
	MOVQ AX, const_slotAnswer+72(BX)
	MOVL $const_toldStat, const_slotTold(BX)
	JMP  close

statx:
	// struct statx: mask, links and owner, group and mode, inode, size, times, device.
	MOVQ frameArgs+32(SP), CX
	MOVQ 0(CX), AX
	MOVQ AX, const_slotAnswer+0(BX)
	MOVQ 16(CX), AX
	MOVQ AX, const_slotAnswer+8(BX)
	MOVQ 24(CX), AX
	MOVQ AX, const_slotAnswer+16(BX)
	MOVQ 32(CX), AX
	MOVQ AX, const_slotAnswer+24(BX)
	MOVQ 40(CX), AX
	MOVQ AX, const_slotAnswer+32(BX)
	MOVQ 96(CX), AX
	MOVQ AX, const_slotAnswer+40(BX)
	MOVQ 104(CX), AX
	MOVQ AX, const_slotAnswer+48(BX)
	MOVQ 112(CX), AX
	MOVQ AX, const_slotAnswer+56(BX)
	MOVQ 120(CX), AX
	MOVQ AX, const_slotAnswer+64(BX)
	MOVQ 136(CX), AX
	MOVQ AX, const_slotAnswer+72(BX)
	MOVL $const_toldStatx, const_slotTold(BX)
	JMP  close

target:
	// A link's target, behind the path's NUL, if it fits: AX bytes, which are not 0.
	MOVL const_slotLength(BX), DI
	ADDL $8, DI
	ANDL $~7, DI
	ADDL $const_slotPath, DI
	CMPQ AX, $const_slotSize
	JHI  close
	LEAL (DI)(AX*1), DX
	CMPL DX, $const_slotEnd
	JHI  close
	MOVL AX, const_slotToldLength(BX)
	ADDQ BX, DI

targetWords:
	CMPQ AX, $8
	JCS  targetBytes
	MOVQ (CX), DX
	MOVQ DX, (DI)
	ADDQ $8, CX
	ADDQ $8, DI
	SUBQ $8, AX
	JMP  targetWords

targetBytes:
	TESTQ AX, AX
	JEQ   targetEnd
	MOVB  (CX), DX
	MOVB  DX, (DI)
	INCQ  CX
	INCQ  DI
	DECQ  AX
	JMP   targetBytes

targetEnd:
	MOVL $const_toldTarget, const_slotTold(BX)
	JMP  close

answerEnd:
unanswered:
	// The buffer has gone since, or the slot has, as this is a forked child.
	MOVQ frameEntry(SP), R11
	CMPQ AT(const_token), $0
	JEQ  done

close:
	MOVQ frameWord(SP), AX
	ADDQ $(const_phaseAnswered-const_phaseBegun), AX
	MOVQ AX, const_slotWord(BX)

closeEnd:
done:
	MOVQ frameRes(SP), AX
	MOVQ frameBX(SP), BX
	MOVQ frameArgs+0(SP), DI
	MOVQ frameArgs+8(SP), SI
	MOVQ frameArgs+16(SP), DX
	MOVQ frameArgs+24(SP), R10
	MOVQ frameArgs+32(SP), R8
	MOVQ frameArgs+40(SP), R9
	MOVQ frameBack(SP), CX
	LEAQ frameSize(SP), SP

left:
	JMP  CX

refuse:
	// The slot is void, as the call is about to be notified.
	MOVQ frameWord(SP), AX
	LEAQ (const_phaseVoid-const_phaseBegun)(AX), CX
	LOCK
	CMPXCHGQ CX, const_slotWord(BX)
	JEQ  restore
	MOVQ frameWord(SP), AX
	ADDQ $(const_phaseGiven-const_phaseBegun), AX
	LOCK
	CMPXCHGQ CX, const_slotWord(BX)

refuseEnd:
	NOP // no bytes; a label at a jump would be taken for where that leads
	JMP restore

giveBack:
	// The slot has not begun, if there is one. A forked child has none.
	CMPQ  AT(const_token), $0
	JEQ   restore
	TESTQ BX, BX
	JEQ   restore

free:
	MOVQ $0, const_slotWord(BX)

freeEnd:
restore:
	MOVQ frameCall(SP), AX
	MOVQ frameBX(SP), BX
	MOVQ frameArgs+0(SP), DI
	MOVQ frameArgs+8(SP), SI
	MOVQ frameArgs+16(SP), DX
	MOVQ frameArgs+24(SP), R10
	MOVQ frameArgs+32(SP), R8
	MOVQ frameArgs+40(SP), R9
	MOVQ frameBack(SP), CX

unframe:
	LEAQ frameSize(SP), SP

slow:
	// Where the syscall instruction stands that was led here.
	SUBQ $2, CX
	JMP  CX

end:
	INT $3

// func codeAddress() uintptr
TEXT ·codeAddress(SB), NOSPLIT, $0-8
	LEAQ code<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func enter(entry uintptr, call, a0, a1, a2, a3, a4 uintptr) (result uintptr)
//
// Makes a call by way of the code at entry. The kernel's own way is tried where the code
// does not record it.
TEXT ·enter(SB), NOSPLIT, $8-64
	MOVQ call+8(FP), AX
	MOVQ a0+16(FP), DI
	MOVQ a1+24(FP), SI
	MOVQ a2+32(FP), DX
	MOVQ a3+40(FP), R10
	MOVQ a4+48(FP), R8
	XORL R9, R9
	MOVQ entry+0(FP), R11
	// LEAQ back(PC), CX
	BYTE $0x48; BYTE $0x8d; BYTE $0x0d; LONG $5
	JMP  R11     // three bytes
	SYSCALL      // two bytes
	MOVQ AX, result+56(FP)
	RET
