package arena

import "errors"

// trims is what an Arena knows of its trims.
type trims struct{ count, bytes uint64 }

// Trim gives memory that is free back to the system: the pages that no allocation and no
// span has, and those that the guard keeps ready for old pages. Pages that an open snapshot
// needs stay where they are; a Trim after it is closed takes them. What was given
// back is in Stats, in bytes.
//
// hold keeps readers and writers off until what it returns is called. Errors: ErrClosed,
// ErrIncomplete where a lazy restore or a fork is not complete, and hold's: nothing has changed
// then; and the system's, if it refuses to take memory back, which is no harm.
//
// It costs a page fault for each page that is used again. The
// bytes of free memory are zero afterwards, or as they were where a snapshot needed them: nobody
// should compare these.
func (a *Arena) Trim(hold func() (release func(), err error)) error {
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return ErrClosed
	}
	_ = a.giveBack() // an error is munmap's: memory stays mapped, no more
	if err := a.guard.trims(hold); err != nil {
		return err
	}
	release, err := hold()
	if err != nil {
		return err
	}
	defer release()
	bytes, err := a.guard.trim(a.al.trim())
	a.reg.Lock()
	defer a.reg.Unlock()
	a.trimmed.count++
	a.trimmed.bytes += bytes
	return err
}

// discard gives the memory of a run back, and answers how much of it there was. Arena.mu is held.
func (a *Arena) discard(r pageRun) (bytes uint64, err error) {
	a.watches.add(r.first, r.n) // a write that no guard notices
	const piece = 16 << 20      // for others who want the kernel's memory lock
	for off, end := r.first*pageSize, (r.first+r.n)*pageSize; off < end; off += piece {
		n := min(end-off, piece)
		resident, err := a.mem.Resident(off, n)
		if err != nil {
			resident = n // it cannot be told
		}
		if err := a.mem.Discard(off, n); err != nil {
			return bytes, err
		}
		bytes += resident
	}
	return bytes, nil
}

// trim gives up what is kept for reuse, spans and claims, and answers the free pages in
// use, as runs that do not touch.
func (al *allocator) trim() (runs []pageRun) {
	al.mu.Lock()
	defer al.mu.Unlock()
	release := al.seizeCaches()
	al.releaseClaims()
	al.releaseKept()
	release()
	for page, end := uint64(0), al.used.Load()>>runPageShift; page < end; page++ {
		if al.load64(al.pageBits(page)) == ^uint64(0) {
			page |= 63
			continue
		}
		if al.isTaken(page) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].first+runs[n-1].n == page {
			runs[n-1].n++
		} else {
			runs = append(runs, pageRun{page, 1})
		}
	}
	return runs
}

func (g *copyGuard) trims(hold) error { return nil }

// trim: nothing that is open looks at the live memory.
func (g *copyGuard) trim(runs []pageRun) (bytes uint64, err error) {
	errs := []error{g.keepSpares(0)}
	for _, r := range runs {
		n, err := g.a.discard(r)
		bytes += n
		errs = append(errs, err)
	}
	return bytes, errors.Join(errs...)
}
