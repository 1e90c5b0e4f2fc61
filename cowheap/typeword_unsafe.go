package cowheap

import "unsafe"

// typeWord returns a word that stands for T in this process: the first word of
// an interface that holds a *T, which sync/atomic.Value tells types apart by,
// too. It is never 0. The same T may have several (in plugins), different types
// never share one.
func typeWord[T any]() uintptr {
	var p any = (*T)(nil)
	return *(*uintptr)(unsafe.Pointer(&p))
}
