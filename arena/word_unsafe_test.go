package arena

import "unsafe"

// wordAt is the word at b[at]; at is a multiple of 8.
func wordAt(b []byte, at int) *uint64 { return (*uint64)(unsafe.Pointer(&b[at])) }
