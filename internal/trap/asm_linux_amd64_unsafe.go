//go:build linux && amd64

package trap

import "unsafe"

// The functions of asm_linux_amd64.s. None of them lets its argument escape,
// blocks or grows the stack.

func trampolineAddr() uint64

// syscall6 enters the kernel without telling the scheduler. The result is the
// kernel's: -errno as an unsigned number where it failed.
//
//go:noescape
func syscall6(nr, a1, a2, a3, a4, a5, a6 uint64) (ret uint64)

// On amd64 plain loads are acquires and locked instructions are full barriers;
// store64 is an exchange, so that a later load cannot pass it.

//go:noescape
func load32(p *uint32) uint32

//go:noescape
func load64(p *uint64) uint64

//go:noescape
func store64(p *uint64, v uint64)

// put32 and put64 are plain stores: for hints, and for what a later locked
// instruction publishes (stores stay in order, and that one is a full barrier).
//
//go:noescape
func put32(p *uint32, v uint32)

//go:noescape
func put64(p *uint64, v uint64)

//go:noescape
func cas32(p *uint32, old, new uint32) bool

//go:noescape
func cas64(p *uint64, old, new uint64) bool

//go:noescape
func add64(p *uint64, delta uint64) (sum uint64)

//go:noescape
func or64(p *uint64, bits uint64) (old uint64)

//go:noescape
func swap64(p *uint64, v uint64) (old uint64)

//go:noescape
func copyPages(dst, src, n uint64)

//go:noescape
func streamPages(dst, src, n uint64)

//go:noescape
func crc32c(crc uint32, p, n uint64) uint32

func ticks() uint64

func entryAt(addr uint64) *entry

func rangeAt(addr uint64) *Range

func tableAt(addr uint64) *Table

func imageAt(addr uint64) *Image

func word32(addr uint64) *uint32

func word64(addr uint64) *uint64

// ioctl is syscall6 for ioctl(2), with a struct that may stand on the stack.
//
//go:noescape
func ioctl(fd, cmd uint64, arg unsafe.Pointer) (ret uint64)

// addrOfWord is for words outside the Go heap only.
//
//go:noescape
func addrOfWord(p *uint64) uint64

//go:noescape
func writeErr(p unsafe.Pointer, n uint64)

func pause()

// writeOne adds 1 to an eventfd.
func writeOne(fd uint64)
