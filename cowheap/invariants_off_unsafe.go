//go:build !invariants

package cowheap

import "unsafe"

// What the invariants tag adds, without it. Calls stand behind `if invariants`, so
// nothing of it is left.
const invariants = false

type (
	memOrigin  struct{} // of a Mem: where its gate was entered
	memPadding [22]byte
	siteTable  struct{} // of a space: where memory was allocated and freed
)

func (*siteTable) allocated(uint64, uint64)     {}
func (*siteTable) typed(uint64, *typeInfo)      {}
func (*siteTable) root(uint64)                  {}
func (*siteTable) forget()                      {}
func (*siteTable) extended(uint64, uint64)      {}
func (*space) freeing(uint64)                   {}
func (*space) entered(*Mem)                     {}
func (*space) left(m *Mem)                      { _, _ = m.gone, m.origin }
func (*space) nested() error                    { return ErrNested }
func (*Mem) mustRefer(uint64, func() *typeInfo) {}
func (*Mem) mustOwn(uint64, string)             {}
func (*Mem) mustLive(unsafe.Pointer, string)    {}
func (*Mem) mustBeInside()                      {}
