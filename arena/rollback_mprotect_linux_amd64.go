package arena

import (
	"errors"
	"syscall"

	"github.com/cowheap/cowheap/internal/trap"
)

// putBackChunks makes the pages of runs what they were as of l, by one goroutine. No fork reads a snapshot of this
// guard, so that nobody needs what the pages hold now: a chunk that is protected is
// opened meanwhile, and nothing is preserved for it.
func (g *userfault) putBackChunks(l *layer, runs []pageRun) error {
	r := restorer{h: g.h}
	for _, run := range runs {
		for page := run.first; page < run.first+run.n; page++ {
			if err := r.reach(page); err != nil {
				return errors.Join(err, r.done())
			}
			l.copyBack(page)
			g.h.PutBack(page, 1) // for who asks what has been written
		}
	}
	return r.done()
}

// restorer opens chunks for a while.
type restorer struct {
	h          *trap.Handle
	first, n   uint64 // opened
	everything bool
}

// reach makes page writable.
func (r *restorer) reach(page uint64) error {
	chunk := r.h.Chunk()
	if r.everything || page-r.first < r.n {
		return nil
	}
	if err := r.done(); err != nil {
		return err
	}
	first := page &^ (chunk - 1)
	if r.h.IsLogged(first, chunk) {
		return nil // if it is not, the resolver opens it
	}
	err := r.h.Open(first, chunk)
	switch {
	case err == nil:
		r.first, r.n = first, chunk
	case errors.Is(err, syscall.ENOMEM): // no mapping left: opening everything needs none
		r.everything = true
		err = r.h.OpenAll()
	}
	return err
}

// done protects again what reach has opened.
func (r *restorer) done() error {
	first, n := r.first, r.n
	r.first, r.n = 0, 0
	switch {
	case r.everything:
		r.everything = false
		return r.h.ProtectAll()
	case n > 0:
		return r.h.Protect(first, n)
	}
	return nil
}
