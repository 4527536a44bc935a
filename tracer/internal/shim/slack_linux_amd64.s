#include "textflag.h"

// slackHandler is a signal handler: prctl(PR_SET_TIMERSLACK, saved.timerSlack) for the thread
// that gets the signal (timerslack.go). It uses no stack, and nothing of the Go runtime's.
TEXT slackHandler(SB), NOSPLIT|NOFRAME, $0
	MOVQ	$157, AX
	MOVQ	$29, DI
	MOVQ	·saved+2088(SB), SI
	SYSCALL
	RET

// slackRestorer ends a handler: rt_sigreturn(2).
TEXT slackRestorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ	$15, AX
	SYSCALL
	INT	$3

// func slackAction() (handler, restorer uintptr)
TEXT ·slackAction(SB), NOSPLIT, $0-16
	LEAQ	slackHandler(SB), AX
	MOVQ	AX, handler+0(FP)
	LEAQ	slackRestorer(SB), AX
	MOVQ	AX, restorer+8(FP)
	RET
