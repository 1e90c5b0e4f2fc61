//go:build linux && amd64

package trap

import "unsafe"

// say writes a constant string to standard error.
//
//go:nosplit
//go:norace
//go:nocheckptr
func say(s string) { writeErr(unsafe.Pointer(unsafe.StringData(s)), uint64(len(s))) }

const hexDigits = "0123456789abcdef"

// sayByte writes one hexadecimal digit.
// Preconditions: digit < 16.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sayByte(digit uint64) {
	writeErr(unsafe.Add(unsafe.Pointer(unsafe.StringData(hexDigits)), digit), 1)
}
