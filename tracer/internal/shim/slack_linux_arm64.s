#include "textflag.h"

// slackHandler: see slack_linux_amd64.s. It returns to the kernel's own restorer, in the vDSO.
TEXT slackHandler(SB), NOSPLIT|NOFRAME, $0
	MOVD	$167, R8
	MOVD	$29, R0
	MOVD	·saved+2088(SB), R1
	SVC
	RET

// func slackAction() (handler, restorer uintptr)
TEXT ·slackAction(SB), NOSPLIT, $0-16
	MOVD	$slackHandler(SB), R0
	MOVD	R0, handler+0(FP)
	MOVD	ZR, restorer+8(FP)
	RET
