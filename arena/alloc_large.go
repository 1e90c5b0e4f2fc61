package arena

import "bytes"

// allocRun allocates whole pages, for the user of a cache or, if c is nil, of none.
func (al *allocator) allocRun(size uint64, c *Cache) (uint64, error) {
	if size > al.limit {
		return 0, ErrFull
	}
	n := (size + runPageSize - 1) >> runPageShift
	al.mu.Lock()
	al.inside = c
	var page, fresh uint64
	err := al.attempt(func() (err error) {
		page, fresh, err = al.takeRun(n)
		if err != nil {
			return err
		}
		if err := al.raise((page + n) << runPageShift); err != nil {
			return err
		}
		al.put32(al.pageEntry(page), entryRun|uint32(n))
		return nil
	})
	if err == nil {
		al.store64(headBytes, al.load64(headBytes)+n<<runPageShift)
		al.store64(headObjects, al.load64(headObjects)+1)
	}
	al.inside = nil
	al.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if page < fresh {
		al.clearStale(page<<runPageShift, (min(fresh, page+n)-page)<<runPageShift)
	}
	return page << runPageShift, nil
}

// extend makes the run at off at least size bytes long, in place. It reports false, and has
// changed nothing, if off is no run or other allocations are in the way.
func (al *allocator) extend(off, size uint64) bool {
	if size <= maxSmall || size > al.limit {
		return false
	}
	al.mu.Lock()
	defer al.mu.Unlock()
	o, err := al.find(off)
	if err != nil || o.desc != 0 {
		return false
	}
	page, have, want := off>>runPageShift, o.size>>runPageShift, (size+runPageSize-1)>>runPageShift
	if want <= have {
		return true
	}
	if end := page + want; end > al.limit>>runPageShift || end > al.chunks.Load()*chunkPages {
		return false
	}
	fresh := al.top.Load()
	err = al.try(func() error {
		if !al.markRun(page+have, want-have) {
			return ErrFull
		}
		if err := al.raise((page + want) << runPageShift); err != nil {
			return err
		}
		al.put32(al.pageEntry(page), entryRun|uint32(want))
		return nil
	})
	if err != nil {
		return false
	}
	al.store64(headBytes, al.load64(headBytes)+(want-have)<<runPageShift)
	if page+have < fresh {
		al.clearStale((page+have)<<runPageShift, (min(fresh, page+want)-page-have)<<runPageShift)
	}
	return true
}

var zeroPage [runPageSize]byte

// clearStale zeroes memory that was in use before. Of whole pages it looks for
// something to clear first: a write to a page that is zero already would take
// up memory, or make a snapshot preserve it.
func (al *allocator) clearStale(off, n uint64) {
	if n < runPageSize {
		clear(al.bytes(off, n))
		return
	}
	for n > 0 {
		b := al.bytes(off, min(n, runPageSize-off%runPageSize))
		if !bytes.Equal(b, zeroPage[:len(b)]) {
			clear(b)
		}
		off += uint64(len(b))
		n -= uint64(len(b))
	}
}

// releaseRun gives back a run that allocRun returned.
func (al *allocator) releaseRun(page, n uint64) error {
	if !al.freeRun(page, n) {
		return corruptAt(al.pageBits(page), "pages of the run of %d at page %d are marked free", n, page)
	}
	al.put32(al.pageEntry(page), 0)
	return nil
}
