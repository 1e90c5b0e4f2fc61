package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// checkpointOptions are those of a way; none for the one that is to choose by itself.
func checkpointOptions(way string) *cowheap.Options {
	if way == wayAuto {
		return new(cowheap.Options)
	}
	switch way {
	case wayShadowed:
		return &cowheap.Options{Guard: arena.GuardShadow, MaxChain: 1}
	case wayLive:
		return &cowheap.Options{Guard: arena.GuardUserfault, Saving: cowheap.SaveLive}
	}
	o := &cowheap.Options{Guard: arena.GuardUserfault, Saving: cowheap.SaveFrozen, Preserving: arena.PreserveOnWrite}
	name, pages, forced := strings.Cut(way, "/")
	if name == wayAhead {
		o.Preserving = arena.PreserveAhead
	}
	if forced {
		o.FaultPages, _ = strconv.Atoi(pages) // a constant of this program
	}
	return o
}

// checkpoint writes one, and says how many pages were preserved for it.
func (b *checkpointTaxBench) checkpoint(loaded bool) (pages int64, err error) {
	b.sampled, b.most = 0, 0
	was := b.state.h.Stats()
	info, err := b.state.h.Checkpoint(background)
	if err != nil {
		return 0, err
	}
	if info.Bytes < b.size {
		return 0, fmt.Errorf("a checkpoint of %d bytes of state has %d", b.size, info.Bytes)
	}
	now := b.state.h.Stats()
	return max(b.most, now.LivePages-was.LivePages), b.check(was, now, loaded)
}

// check fails if pages were not preserved in the way that the name says.
// Writers at full speed may keep whoever is to preserve ahead from running at all, so
// that is looked at where there are none.
func (b *checkpointTaxBench) check(was, now cowheap.Stats, loaded bool) error {
	switch ahead := now.Ahead - was.Ahead; {
	case b.way == wayShadowed && now.Guard == arena.GuardShadow:
		return nil
	case now.Guard != arena.GuardUserfault:
		return fmt.Errorf("the guard is %v", now.Guard)
	case strings.HasPrefix(b.way, wayOnWrite) && ahead != 0:
		return fmt.Errorf("%d pages were preserved before anybody wrote to them", ahead)
	case strings.HasPrefix(b.way, wayAhead) && ahead == 0 && !loaded && !b.quick:
		return errors.New("no page was preserved before anybody wrote to it")
	}
	return nil
}

// sample looks at how much is preserved, an eighth of the way after the other.
func (b *checkpointTaxBench) sample(done, total int64) {
	if done < total && done-b.sampled < total/8 {
		return
	}
	b.sampled = done
	s := b.state.h.Stats()
	b.most = max(b.most, s.PreservedPages+s.ShadowBytes/pageSize)
}

// fork has a child write the state, and says how many pages were copied meanwhile.
func (b *checkpointTaxBench) fork() (pages int64, err error) {
	// The child goes when the thread that made it does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	temp, name := filepath.Join(b.files, "new.tmp"), filepath.Join(b.files, "saved")
	file, err := os.Create(temp)
	if err != nil {
		return 0, err
	}
	was, err := allMinorFaults()
	if err != nil {
		return 0, errors.Join(err, file.Close())
	}
	c, _, err := forkInto(childWrites, &outlet{fd: file.Fd(), pieces: b.out, size: mib})
	if c.pid != 0 {
		err = errors.Join(err, c.reap())
	}
	now, e := allMinorFaults()
	info, e2 := file.Stat()
	if err = errors.Join(err, e, e2, file.Close()); err != nil {
		return 0, err
	}
	if info.Size() != b.size {
		return 0, fmt.Errorf("the child has written %d bytes of %d", info.Size(), b.size)
	}
	return now - was, errors.Join(os.Rename(temp, name), syncDir(b.files))
}

// allMinorFaults counts the page faults of all threads that needed no I/O.
func allMinorFaults() (int64, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return int64(u.Minflt), err
}
