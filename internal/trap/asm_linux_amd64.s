#include "textflag.h"

// Why assembly: the kernel calls the trampoline with the C calling convention
// on the signal stack; and what the resolver does to shared memory must be one
// instruction each, in every build mode (with -race the compiler turns
// sync/atomic into calls of the race detector, which must not run here).
// Every function is NOSPLIT: there is no stack to grow onto in a handler.

// func trampoline(sig, info, ctx)  -- C calling convention
// On entry: DI = signal, SI = *siginfo, DX = *ucontext, 0(SP) = the restorer.
// The kernel puts every register back from ctx on return, so only what the
// chained handler is entitled to see (DI, SI, DX, SP) is kept.
//
// The Go functions are called through func values, with Go's internal calling
// convention: arguments in AX, BX, CX, result in AX, room for three spilled
// words above the return address, X15 zero, R14 = g. (Called by name they would go
// through a wrapper, which -race instruments: it uses R14 before it is set, and
// enters the race detector, which a faulting sync/atomic operation has not left.)
// On a thread that is not Go's g is nil: nosplit functions do not look at it.
TEXT ·trampoline(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	NOP  SP                      // vet: the stack is managed by hand here
	CLD
	SUBQ $56, SP                 // 0..23: spill room; 24: entry; 32..55: DI SI DX
	MOVQ DI, 32(SP)
	MOVQ SI, 40(SP)
	MOVQ DX, 48(SP)
	PXOR X15, X15
	MOVQ (TLS), R14
	MOVQ SI, AX
	MOVLQZX DI, BX
	MOVQ ·enterFunc(SB), DX
	CALL (DX)                    // enter(info, signal) entry
	TESTQ AX, AX
	JEQ  chain                   // not ours
	MOVQ AX, 24(SP)
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·classifyFunc(SB), DX
	CALL (DX)                    // classify(entry, info, ctx) class
	CMPQ AX, $2                  // faultMissing
	JEQ  missing
	CMPQ AX, $4                  // faultChunk
	JEQ  chunk
	CMPQ AX, $3                  // faultWrite
	JNE  leave
	MOVQ 24(SP), AX
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·writeFaultFunc(SB), DX
	CALL (DX)                    // writeFault(entry, info, ctx) answer
leave:
	MOVQ 24(SP), BX
	LOCK
	DECQ 24(BX)                  // entry.inside
	JMP  answer
chunk:
	MOVQ 24(SP), AX
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·chunkFaultFunc(SB), DX
	CALL (DX)                    // chunkFault(entry, info, ctx) answer
	CMPQ AX, $6                  // faultIdle
	JNE  lifted
	MOVQ 24(SP), AX
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·idleFaultFunc(SB), DX
	CALL (DX)                    // idleFault(entry, info, ctx) answer
lifted:
	CMPQ AX, $5                  // faultWiden
	JNE  leave
	MOVQ 24(SP), AX
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·widenFaultFunc(SB), DX
	CALL (DX)                    // widenFault(entry, info, ctx) answer
	JMP  leave
missing:
	MOVQ 24(SP), AX
	LOCK
	INCQ 32(AX)                  // entry.bringing, before inside goes down
	LOCK
	DECQ 24(AX)                  // entry.inside
	MOVQ 40(SP), BX
	MOVQ 48(SP), CX
	MOVQ ·missingFaultFunc(SB), DX
	CALL (DX)                    // missingFault(entry, info, ctx) answer
	MOVQ 24(SP), BX
	LOCK
	DECQ 32(BX)                  // entry.bringing
answer:
	TESTQ AX, AX
	JEQ  chain                   // ours, and hopeless
	ADDQ $56, SP
	RET                          // to the restorer, which runs the instruction again
chain:
	MOVQ 32(SP), DI
	MOVQ 40(SP), SI
	MOVQ 48(SP), DX
	ADDQ $56, SP
	MOVQ ·chained(SB), AX
	CMPL DI, $11                 // SIGSEGV
	JNE  jump
	MOVQ ·chainedSegv(SB), AX
jump:
	JMP  AX                      // as if the kernel had called it

// func trampolineAddr() uint64
// A Go reference to trampoline would give the address of its ABI wrapper.
TEXT ·trampolineAddr(SB), NOSPLIT, $0-8
	LEAQ ·trampoline(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func syscall6(nr, a1, a2, a3, a4, a5, a6 uint64) (ret uint64)
TEXT ·syscall6(SB), NOSPLIT, $0-64
	MOVQ nr+0(FP), AX
	MOVQ a1+8(FP), DI
	MOVQ a2+16(FP), SI
	MOVQ a3+24(FP), DX
	MOVQ a4+32(FP), R10
	MOVQ a5+40(FP), R8
	MOVQ a6+48(FP), R9
	SYSCALL
	MOVQ AX, ret+56(FP)
	RET

// func load32(p *uint32) uint32
TEXT ·load32(SB), NOSPLIT, $0-12
	MOVQ p+0(FP), BX
	MOVL (BX), AX
	MOVL AX, ret+8(FP)
	RET

// func load64(p *uint64) uint64
TEXT ·load64(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), BX
	MOVQ (BX), AX
	MOVQ AX, ret+8(FP)
	RET

// func store64(p *uint64, v uint64)   -- sequentially consistent
TEXT ·store64(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), BX
	MOVQ v+8(FP), AX
	XCHGQ AX, (BX)
	RET

// func put32(p *uint32, v uint32)
TEXT ·put32(SB), NOSPLIT, $0-12
	MOVQ p+0(FP), BX
	MOVL v+8(FP), AX
	MOVL AX, (BX)
	RET

// func put64(p *uint64, v uint64)
TEXT ·put64(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), BX
	MOVQ v+8(FP), AX
	MOVQ AX, (BX)
	RET

// func cas32(p *uint32, old, new uint32) bool
TEXT ·cas32(SB), NOSPLIT, $0-17
	MOVQ p+0(FP), BX
	MOVL old+8(FP), AX
	MOVL new+12(FP), CX
	LOCK
	CMPXCHGL CX, (BX)
	SETEQ ret+16(FP)
	RET

// func cas64(p *uint64, old, new uint64) bool
TEXT ·cas64(SB), NOSPLIT, $0-25
	MOVQ p+0(FP), BX
	MOVQ old+8(FP), AX
	MOVQ new+16(FP), CX
	LOCK
	CMPXCHGQ CX, (BX)
	SETEQ ret+24(FP)
	RET

// func add64(p *uint64, delta uint64) (sum uint64)
TEXT ·add64(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), BX
	MOVQ delta+8(FP), AX
	MOVQ AX, CX
	LOCK
	XADDQ AX, (BX)
	ADDQ CX, AX
	MOVQ AX, sum+16(FP)
	RET

// func or64(p *uint64, bits uint64) (old uint64)
TEXT ·or64(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), BX
	MOVQ bits+8(FP), CX
	MOVQ (BX), AX
again:
	MOVQ AX, DX
	ORQ  CX, DX
	LOCK
	CMPXCHGQ DX, (BX)
	JNE  again
	MOVQ AX, old+16(FP)
	RET

// func swap64(p *uint64, v uint64) (old uint64)
TEXT ·swap64(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), BX
	MOVQ v+8(FP), AX
	XCHGQ AX, (BX)
	MOVQ AX, old+16(FP)
	RET

// func copyPages(dst, src, n uint64)   -- n bytes, a multiple of 8
TEXT ·copyPages(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $3, CX
	CLD
	REP; MOVSQ
	RET

// func streamPages(dst, src, n uint64)   -- n bytes, a multiple of 64; dst aligned to 16
// Past the caches: what it writes is not read soon, and so is not read before it is
// written either. The fence makes it visible before whatever the caller stores next.
TEXT ·streamPages(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
more:
	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVNTO X0, 0(DI)
	MOVNTO X1, 16(DI)
	MOVNTO X2, 32(DI)
	MOVNTO X3, 48(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $64, CX
	JNE  more
	SFENCE
	RET

// func crc32c(crc uint32, p, n uint64) uint32   -- n a multiple of 8
// The inner step of CRC32-C: the caller inverts before and after.
TEXT ·crc32c(SB), NOSPLIT, $0-28
	MOVL crc+0(FP), AX
	MOVQ p+8(FP), BX
	MOVQ n+16(FP), CX
loop:
	CMPQ CX, $8
	JLT  done
	CRC32Q (BX), AX
	ADDQ $8, BX
	SUBQ $8, CX
	JMP  loop
done:
	CMPQ CX, $4
	JLT  end
	CRC32L (BX), AX
end:
	MOVL AX, ret+24(FP)
	RET

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func entryAt(addr uint64) *entry
TEXT ·entryAt(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func rangeAt(addr uint64) *Range, and so on: numbers that the resolver keeps
// become pointers here, because they point to memory outside the Go heap.
TEXT ·rangeAt(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func tableAt(addr uint64) *Table
TEXT ·tableAt(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func imageAt(addr uint64) *Image
TEXT ·imageAt(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func word32(addr uint64) *uint32
TEXT ·word32(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func word64(addr uint64) *uint64
TEXT ·word64(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func ioctl(fd, cmd uint64, arg unsafe.Pointer) (ret uint64)
// Takes a pointer, not a number, so that the struct may stand on the caller's stack.
TEXT ·ioctl(SB), NOSPLIT, $0-32
	MOVL $16, AX                 // SYS_ioctl
	MOVQ fd+0(FP), DI
	MOVQ cmd+8(FP), SI
	MOVQ arg+16(FP), DX
	SYSCALL
	MOVQ AX, ret+24(FP)
	RET

// func addrOfWord(p *uint64) uint64
TEXT ·addrOfWord(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

// func writeErr(p unsafe.Pointer, n uint64)
TEXT ·writeErr(SB), NOSPLIT, $0-16
	MOVL $1, AX                  // SYS_write
	MOVL $2, DI                  // standard error
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), DX
	SYSCALL
	RET

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET

// func writeOne(fd uint64)   -- the eight bytes that an eventfd takes
TEXT ·writeOne(SB), NOSPLIT, $8-8
	MOVQ $1, buf-8(SP)
	MOVL $1, AX                  // SYS_write
	MOVQ fd+0(FP), DI
	LEAQ buf-8(SP), SI
	MOVL $8, DX
	SYSCALL
	RET
