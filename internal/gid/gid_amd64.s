//go:build linux || darwin

#include "textflag.h"

// func current() uintptr
//
// Assembly functions have the stack-based calling convention, in which no
// register holds g: it is read from the thread's local storage.
TEXT ·current(SB), NOSPLIT, $0-8
	MOVQ (TLS), AX
	MOVQ AX, ret+0(FP)
	RET
