package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// needHugePages is nil where MADV_HUGEPAGE may give huge pages.
func needHugePages() error {
	switch s := uffd.ReadSettings(); {
	case s.HugePages == "":
		return fmt.Errorf("this kernel has no transparent huge pages: %w", errors.ErrUnsupported)
	case s.HugePages == "never" || s.HugePagesDisabled:
		return fmt.Errorf("transparent huge pages are switched off "+
			"(write madvise to /sys/kernel/mm/transparent_hugepage/enabled): %w", errors.ErrUnsupported)
	}
	return nil
}

// checkHugePages is nil if at least nine tenths of b are huge pages. That memory
// is too fragmented for them is a reason to skip, not to give a wrong figure.
func checkHugePages(b []byte) error {
	huge, err := hugeBytes(b)
	if err != nil {
		return err
	}
	if huge < len(b)/10*9 {
		return fmt.Errorf("only %d of %d bytes are huge pages, memory is short or fragmented: %w", huge, len(b), errors.ErrUnsupported)
	}
	return nil
}

// hugeBytes is how many bytes of the mappings that lie in b are transparent huge pages.
func hugeBytes(b []byte) (int, error) {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	start, total, within := uint64(addressOf(b)), 0, false
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if first, rest, ok := strings.Cut(line, "-"); ok {
			if from, err := strconv.ParseUint(first, 16, 64); err == nil {
				end, _, _ := strings.Cut(rest, " ")
				to, err := strconv.ParseUint(end, 16, 64)
				within = err == nil && from < start+uint64(len(b)) && to > start
				continue
			}
		}
		if amount, ok := strings.CutPrefix(line, "AnonHugePages:"); ok && within {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(amount), " kB"))
			if err != nil {
				return 0, fmt.Errorf("reading %s: %w", file.Name(), err)
			}
			total += kib << 10
		}
	}
	return total, lines.Err()
}

// needMemory is nil if so many bytes are to be had: without them the system would
// end some process, perhaps not this one.
func needMemory(bytes int64) error {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil // no /proc, no check
	}
	for line := range strings.Lines(string(info)) {
		amount, ok := strings.CutPrefix(line, "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(amount), " kB"), 10, 64)
		if err != nil {
			return fmt.Errorf("reading /proc/meminfo: %w", err)
		}
		if have := kib << 10; have < bytes {
			return fmt.Errorf("%d MiB of memory are to be had, and this needs %d: %w", have/mib, bytes/mib, errors.ErrUnsupported)
		}
	}
	return nil
}

// checkProtected fails unless exactly so many pages of mem are write-protected.
func checkProtected(mem *region, want int) error {
	pagemap, err := uffd.OpenPagemap()
	if err != nil {
		return nil // no /proc, no check
	}
	defer pagemap.Close()
	n, err := pagemap.CountProtected(mem.Addr(), uintptr(mem.Size()))
	if err == nil && n != want {
		err = fmt.Errorf("%d pages are protected, not %d", n, want)
	}
	return err
}

// register gives the region's faults to a descriptor of its own.
func (r *region) register(features uffd.Feature) (*uffd.FD, error) {
	fd, err := uffd.Open(features)
	if err != nil {
		return nil, err
	}
	if err := fd.Register(r.Addr(), uintptr(r.Size()), uffd.ModeWP); err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	return fd, nil
}

// leaveOutOfForks keeps b, which must be whole 2 MiB blocks, out of children: a
// fork takes time for all memory of a process, and only one piece is the state
// that is being asked about.
func leaveOutOfForks(b []byte) error { return unix.Madvise(b, unix.MADV_DONTFORK) }

// takeIntoForks undoes leaveOutOfForks.
func takeIntoForks(b []byte) error { return unix.Madvise(b, unix.MADV_DOFORK) }

// minorFaults counts the page faults of the calling thread that needed no I/O.
func minorFaults() (int64, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return int64(u.Minflt), err
}
