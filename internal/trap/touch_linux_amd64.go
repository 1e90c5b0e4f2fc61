package trap

// Touch does for page, which is about to be written, what its first write would,
// with the neighbours that this would take along, but without the signal: most of what
// a fault costs is the kernel delivering it. It does nothing if the page is lifted
// already, or if no snapshot may need it. It may run concurrently with itself and the
// resolver, and waits for nobody. It is no promise: who protects the page in this
// moment may come after it, and then there is a fault.
func (h *Handle) Touch(page uint64) {
	r := h.r
	// While a snapshot is open the log is on, so what it covers and is not in the log is
	// protected. (What is newer than the snapshot is in neither, and would else change the counter that
	// all threads share with each write.)
	if page >= load64(&r.covered) || load64(&r.logging) == 0 || r.isLogged(page, 1) || r.isMissing(page) {
		return // (what is missing is brought in by its own fault)
	}
	began := ticks()
	add64(&h.entry.inside, 1)
	chunk := load64(&r.chunk)
	if !r.awaits(page) {
		chunk = 0
	} else if chunk == 0 {
		r.firstWrite(page, 0)
		h.touched.Add(1)
	}
	add64(&h.entry.inside, ^uint64(0))
	if chunk != 0 {
		_ = h.Prepare(page, 1, false) // an error shows as a fault
	}
	r.charge(ticks() - began)
}

// awaits: the newest snapshot has the page, and is not being taken. (Who writes while one
// is writes outside the gate, and a fault knows where.)
// Preconditions: counted as inside.
func (r *Range) awaits(page uint64) bool {
	t := tableAt(load64(&r.newest))
	return t != nil && page < t.pages && load64(&t.state) != stateRaising
}
