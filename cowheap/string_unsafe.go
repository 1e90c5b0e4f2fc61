package cowheap

import "unsafe"

// String is text in a heap: 16 bytes that refer to its bytes. The zero String is
// empty. The text does not change; Set puts another one in its place.
//
// A String belongs to the value that it is stored in: Free frees it with that, a
// Map with its entry, a Vec with its element. It may be copied to read it, but
// only one of the copies may be kept where it will be freed. A String in Go
// memory belongs to whoever has it, until it is stored or cleared.
//
// Many goroutines may read a String at once; a goroutine that calls Set or Clear
// must be alone with it.
type String struct {
	off uint64
	n   uint64 // bytes
}

// NewString copies s into the heap. It fails with ErrFull, and with ErrReadOnly
// inside View.
func NewString(m *Mem, s string) (String, error) {
	if s == "" {
		return String{}, nil
	}
	off, err := m.alloc(uint64(len(s)), 1)
	if err != nil {
		return String{}, err
	}
	copy(m.bytes(off, uint64(len(s))), s)
	return String{off: off, n: uint64(len(s))}, nil
}

// Get returns the text without copying it: the result lies in the heap, and is
// valid until the Update or View that m belongs to returns, or the String is
// freed. strings.Clone makes a copy that stays.
func (s String) Get(m *Mem) string {
	if s.n == 0 {
		return ""
	}
	if invariants {
		m.mustBeInside()
		m.mustOwn(s.off, "a String")
	}
	return m.text(s.off, s.n)
}

// Equal reports whether the text is t.
func (s String) Equal(m *Mem, t string) bool {
	return s.n == uint64(len(t)) && s.Get(m) == t
}

// Len returns the length in bytes.
func (s String) Len() int { return int(s.n) }

// Set makes t the text and frees the one before. It fails with ErrFull, and with
// ErrReadOnly inside View; then the text is the one before. t may be part of it.
func (s *String) Set(m *Mem, t string) error {
	fresh, err := NewString(m, t)
	if err != nil {
		return err
	}
	s.Clear(m)
	*s = fresh
	return nil
}

// Clear makes the text empty and frees it. It panics inside View.
func (s *String) Clear(m *Mem) {
	if m.view {
		panic("cowheap: String.Clear inside View: use Update")
	}
	s.free(m)
	*s = String{}
}

// free frees the text and leaves s as it is.
func (s *String) free(m *Mem) {
	if s.n != 0 {
		m.release(s.off)
	}
}

// asText is the String at p.
//
// Preconditions: there is one.
func asText(p unsafe.Pointer) *String { return (*String)(p) }
