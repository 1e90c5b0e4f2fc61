package arena

// Holding returns the beginning and the size, both in bytes, of the allocation that
// off lies in. What lies in none is a *FreeError, with the beginning where an
// allocation was, if that is still known. It is for tools that look for mistakes: in
// a large allocation it takes time by the page.
func (a *Arena) Holding(off uint64) (start, size uint64, err error) {
	return a.al.holding(off)
}

func (al *allocator) holding(off uint64) (start, size uint64, err error) {
	al.mu.Lock()
	defer al.mu.Unlock()
	page := off >> runPageShift
	if off == 0 || page >= al.top.Load() {
		return 0, 0, al.notFound(off)
	}
	entry := al.load32(al.pageEntry(page))
	if entry&^entryValue == entrySpan {
		if info, ok := al.spanInfo(entry & entryValue); ok && off >= info.start() {
			off -= (off - info.start()) % uint64(info.shape().size)
		}
		o, err := al.find(off)
		return off, o.size, err
	}
	first := page
	for first > 0 && al.load32(al.pageEntry(first)) == 0 {
		first--
	}
	if o, err := al.find(first << runPageShift); err == nil && o.desc == 0 && off-first<<runPageShift < o.size {
		return first << runPageShift, o.size, nil
	}
	return 0, 0, al.notFound(off)
}
