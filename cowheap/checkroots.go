package cowheap

import (
	"bytes"
	"fmt"
	"iter"
	"reflect"

	"github.com/cowheap/cowheap/checkpoint"
)

// directory goes through the records of roots, newest first, as far as they can be
// read, and says what is wrong with the directory.
//
// Preconditions: rootMu is held.
func (s *space) directory(say func(error) bool) iter.Seq[rootRecord] {
	return func(yield func(rootRecord) bool) {
		live := s.live()
		super, err := readSuperblock(live, s.arena.Root())
		if err != nil {
			say(err)
			return
		}
		names, seen := make(map[string]bool), make(map[uint64]bool)
		err = walkDirectory(live, super, func(r rootRecord) bool {
			if seen[r.off] {
				say(fmt.Errorf("%w: the records of roots lead in a circle, back to that at offset %#x", ErrCorrupt, r.off))
				return false
			}
			seen[r.off] = true
			if names[r.name] && !say(fmt.Errorf("%w: two roots are called %q", ErrCorrupt, r.name)) {
				return false
			}
			names[r.name] = true
			return yield(r)
		})
		if err != nil {
			say(err)
		}
	}
}

// checkRoots yields what is wrong with the directory of roots, without a look at what
// they hold.
//
// Preconditions: called from inside the gate, or with the gate closed.
func (s *space) checkRoots() iter.Seq[error] {
	return func(yield func(error) bool) {
		s.rootMu.Lock()
		defer s.rootMu.Unlock()
		goOn := true
		say := func(err error) bool {
			goOn = goOn && yield(err)
			return goOn
		}
		allocated := func(what, name string, off, n uint64) {
			size, err := s.arena.SizeOf(off)
			switch {
			case err != nil:
				say(fmt.Errorf("%w: %s of root %q: %w", ErrCorrupt, what, name, err))
			case size < n:
				say(fmt.Errorf("%w: %s of root %q has %d bytes, %d are allocated", ErrCorrupt, what, name, n, size))
			}
		}
		live := s.live()
		for r := range s.directory(say) {
			allocated("record", r.name, r.off, recordHead+uint64(len(r.name)))
			allocated("layout", r.name, r.layoutOff, r.layoutLen)
			if l, err := r.layout(live); err != nil {
				say(err)
			} else {
				allocated("value", r.name, r.target, uint64(l[0].Size))
			}
			if !goOn {
				return
			}
		}
	}
}

// openedAs returns the Go types of a root's layout, one for each of its types, if
// the program has opened the root by a type with just this layout; else nil.
func (s *space) openedAs(name string, l checkpoint.Layout) []reflect.Type {
	known := s.known.Load()
	if known == nil {
		return nil
	}
	var encoded []byte
	for key := range *known {
		if key.name != name {
			continue
		}
		r := layoutRecorder{index: map[reflect.Type]int{}}
		r.add(typeInfos.get(key.word).typ)
		if encoded == nil {
			encoded = encodeLayout(unnamed(l))
		}
		if !bytes.Equal(encodeLayout(unnamed(r.types)), encoded) {
			continue // it has grown, and a View could not record it
		}
		types := make([]reflect.Type, len(l))
		for t, i := range r.index {
			types[i] = t
		}
		return types
	}
	return nil
}

// unnamed is a layout without the names of its types, which do not matter.
func unnamed(l checkpoint.Layout) checkpoint.Layout {
	out := make(checkpoint.Layout, len(l))
	for i := range l {
		out[i] = l[i]
		out[i].Name = ""
	}
	return out
}
