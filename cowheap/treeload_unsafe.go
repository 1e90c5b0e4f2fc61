package cowheap

import (
	"errors"
	"unsafe"
)

// treeLoader builds a tree of entries that ascend, beside the one that it is for.
type treeLoader struct {
	m     *Mem
	tt    *treeType
	built treeHeader
}

var errLoadTwice = errors.New("loading into a tree that is not empty: Clear it first")

func (h *treeHeader) beginLoad(m *Mem, tt *treeType) (*treeLoader, error) {
	if m.view {
		return nil, ErrReadOnly
	}
	if h.root != 0 {
		return nil, errLoadTwice
	}
	return &treeLoader{m: m, tt: tt}, nil
}

// add puts the entry of the K at k and the V at v behind all others. If that
// fails, or err is an error already, what the V holds is freed.
func (l *treeLoader) add(k, v unsafe.Pointer, err error) error {
	m, tt := l.m, l.tt
	if tt.val.fixed {
		tt.val.mustBeEmpty(v, "Load")
	}
	var val unsafe.Pointer
	if err == nil {
		var path treePath
		if l.built.last(m, tt, &path); l.built.height > 0 {
			path.at[0]++
		}
		val, err = l.built.insert(m, tt, k, &path)
	}
	if err != nil {
		m.freeOwned(tt.val, v)
		return err
	}
	moveBytes(val, v, tt.val.size)
	tt.val.clearGaps(val)
	return nil
}

// attach hands what was built over to the tree.
func (l *treeLoader) attach(h *treeHeader, name string) error {
	h.flag.begin(name)
	defer h.flag.end(name)
	if h.root != 0 {
		return errLoadTwice
	}
	h.root, h.count, h.height = l.built.root, l.built.count, l.built.height
	h.mods++
	l.built = treeHeader{}
	return nil
}

// end frees what was built and not handed over.
func (l *treeLoader) end() {
	l.built.free(l.m, l.tt)
}
