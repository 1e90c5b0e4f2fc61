package gid

import "runtime"

// fromStack reads the goroutine's number from the first line of its stack
// trace, "goroutine 123 [running]:", and shifts it to leave two bits free.
func fromStack() uintptr {
	var buf [64]byte
	line := buf[:runtime.Stack(buf[:], false)]
	var n uintptr
	for _, c := range line[min(len("goroutine "), len(line)):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uintptr(c-'0')
	}
	return n << 2
}
