//go:build invariants

package cowheap

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/cowheap/cowheap/internal/gid"
)

// invariants: every use of a Mem, a Ref and a container is checked, freed memory is
// poisoned, and what is found names the lines that allocated, freed and entered.
// Built with -tags invariants. All of it is kept in Go memory; in the arena only the
// content of freed memory differs, and by the same bytes everywhere.
const invariants = true

// stack is where something was done.
type stack [8]uintptr

// here is the stack of the caller's caller.
func here() (s stack) {
	runtime.Callers(3, s[:])
	return s
}

// String is the file and line of the innermost caller outside of this package.
func (s stack) String() string {
	if s[0] == 0 {
		return "an unknown place"
	}
	frames := runtime.CallersFrames(s[:])
	where := "cowheap itself"
	for {
		f, more := frames.Next()
		if f.PC == 0 {
			return where
		}
		where = fmt.Sprintf("%s:%d", filepath.Join(filepath.Base(filepath.Dir(f.File)), filepath.Base(f.File)), f.Line)
		own := strings.HasPrefix(f.Function, ownPath+".") && !strings.HasSuffix(f.File, "_test.go")
		if !own && !strings.HasPrefix(f.Function, "runtime.") || !more {
			return where
		}
	}
}

// memOrigin is where a Mem's gate was entered.
type memOrigin struct{ at *stack }

type memPadding [14]byte

// insiders are who is inside a space, and since where, by goroutine.
type insiders struct {
	mu sync.Mutex
	at map[uintptr]stack
}

// entered notes that the calling goroutine is inside.
func (s *space) entered(m *Mem) {
	at := here()
	m.origin.at = &at
	in := &s.sites.inside
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.at == nil {
		in.at = make(map[uintptr]stack)
	}
	in.at[gid.Current()] = at
}

// left notes that it is not any more.
func (s *space) left(m *Mem) {
	m.gone = true
	in := &s.sites.inside
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.at, gid.Current())
}

// nested is ErrNested, with where the calling goroutine has entered.
func (s *space) nested() error {
	in := &s.sites.inside
	in.mu.Lock()
	at, ok := in.at[gid.Current()]
	in.mu.Unlock()
	if !ok {
		return ErrNested
	}
	return fmt.Errorf("%w (entered at %v, and again at %v)", ErrNested, at, here())
}

// mustBeInside panics if the function that m was passed to has returned.
func (m *Mem) mustBeInside() {
	if m.gone {
		panic(fmt.Sprintf("cowheap: a Mem was used after its Update or View has returned: that was entered at %v", *m.origin.at))
	}
}
