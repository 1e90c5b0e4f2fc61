package arena

import (
	"errors"
	"iter"

	"github.com/cowheap/cowheap/internal/vm"
)

// keptPages are copies of pages, in memory outside the Go heap.
type keptPages struct {
	pages  []keptPage
	pieces []vm.Mapping
	room   []byte // left in the last piece
}

type keptPage struct {
	off  uint64 // in the arena
	copy []byte
}

// keptPiece is how much memory is asked for at a time, in bytes.
const keptPiece = 4 << 20

// add copies a page, which stands at off.
func (k *keptPages) add(off uint64, page []byte) error {
	if len(k.room) == 0 {
		m, err := vm.Map(keptPiece)
		if err != nil {
			return err
		}
		k.pieces = append(k.pieces, m)
		k.room = m.Bytes(0, keptPiece)
	}
	dst := k.room[:pageSize:pageSize]
	k.room = k.room[pageSize:]
	copy(dst, page)
	k.pages = append(k.pages, keptPage{off, dst})
	return nil
}

// below gives offset and content of those below size, in the order in which they were added.
func (k *keptPages) below(size uint64) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for _, p := range k.pages {
			if p.off < size && !yield(int64(p.off), p.copy) {
				return
			}
		}
	}
}

// free gives the memory back.
func (k *keptPages) free() error {
	var errs []error
	for _, m := range k.pieces {
		errs = append(errs, m.Unmap())
	}
	*k = keptPages{}
	return errors.Join(errs...)
}
