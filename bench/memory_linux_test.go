package main

import (
	"errors"
	"runtime"
	"testing"
)

func TestHugePagesAreTold(t *testing.T) {
	if err := needHugePages(); err != nil {
		t.Skip(err)
	}
	for _, huge := range []bool{false, true} {
		r, err := newRegion(8*blockSize, huge)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Unmap()
		writePages(r.all(), 1)
		switch err := checkHugePages(r.all()); {
		case huge && errors.Is(err, errors.ErrUnsupported):
			t.Log(err) // short of memory
		case (err == nil) != huge:
			t.Errorf("huge %v: %v", huge, err)
		}
	}
}

func TestLeftOutOfForksAndTakenBackIn(t *testing.T) {
	r, err := newRegion(blockSize, false)
	if err != nil {
		t.Skip(err)
	}
	defer r.Unmap()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Copy-on-write shows whether the child has it: as many faults as pages.
	faults := func() int64 {
		writePages(r.all(), 1)
		c, _, err := fork(childStays)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.kill(); err != nil {
				t.Error(err)
			}
		}()
		before, err := minorFaults()
		if err != nil {
			t.Fatal(err)
		}
		writePages(r.all(), 2)
		after, err := minorFaults()
		if err != nil {
			t.Fatal(err)
		}
		return after - before
	}
	const pages = blockSize / pageSize
	if err := leaveOutOfForks(r.all()); err != nil {
		t.Fatal(err)
	}
	if n := faults(); n >= pages {
		t.Errorf("%d faults after a fork without the region", n)
	}
	if err := takeIntoForks(r.all()); err != nil {
		t.Fatal(err)
	}
	if n := faults(); n < pages {
		t.Errorf("%d faults after a fork with %d pages", n, pages)
	}
}

func TestPinAndUnpin(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := processors()
	if err != nil {
		t.Fatal(err)
	}
	unpin, err := pin(before[len(before)-1])
	if err != nil {
		t.Fatal(err)
	}
	if now, err := processors(); err != nil || len(now) != 1 || now[0] != before[len(before)-1] {
		t.Errorf("pinned to %v, error %v", now, err)
	}
	if err := unpin(); err != nil {
		t.Fatal(err)
	}
	if now, err := processors(); err != nil || len(now) != len(before) {
		t.Errorf("back on %v of %v, error %v", now, before, err)
	}
}

func TestSpinnerRunsUntilStopped(t *testing.T) {
	p, err := processors()
	if err != nil {
		t.Fatal(err)
	}
	s, err := spin(p[0])
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := spin(1 << 20); err == nil {
		t.Error("a processor that does not exist is spinning")
	}
}
