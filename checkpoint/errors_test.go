package checkpoint

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

// TestErrorsSayWhereWhatAndWhatToDo: a message is what an operator has at night.
func TestErrorsSayWhereWhatAndWhatToDo(t *testing.T) {
	skipped := &SkippedError{Path: "/d/b", Err: &ChecksumError{Path: "/d/b", Offset: 8192, What: "the index", Want: 1, Got: 2}}
	for _, c := range []struct {
		err  error
		is   []error
		not  []error
		says []string
	}{
		{&FormatError{Path: "/d/a", Offset: 77, Reason: "no block", Err: ErrTruncated}, []error{ErrTruncated, ErrCorrupt}, nil,
			[]string{"/d/a: ", "byte 77", "no block", "cut off"}},
		{corrupt("", 5, "%d blocks", 3), []error{ErrCorrupt}, []error{ErrTruncated}, []string{"at byte 5", "3 blocks", "damaged"}},
		{&ChecksumError{Path: "/d/a", Offset: 4096, What: "page 7", Want: 0xab, Got: 0xcd}, []error{ErrCorrupt}, []error{ErrTruncated},
			[]string{"/d/a: ", "byte 4096", "page 7", "000000ab", "000000cd"}},
		{&VersionError{Path: "/d/a", Got: 9, Max: 1}, nil, []error{ErrCorrupt}, []string{"/d/a: ", "version 9", "1 to 1", "use the version"}},
		{&VersionError{Got: 1, Max: 1, Flags: 6, Damaged: true}, []error{ErrCorrupt}, nil, []string{"0x6", "damaged", "use the version"}},
		{&PageSizeError{Path: "/d/a", Got: 16384, Want: 4096}, nil, []error{ErrCorrupt}, []string{"/d/a: ", "16384", "4096", "restore it on a machine"}},
		{&LimitError{Path: "/d/a", What: "arena size", Got: 10, Limit: 5}, nil, []error{ErrCorrupt}, []string{"/d/a: ", "arena size is 10", "5", "raise the limit"}},
		{&WriteError{Path: "/d/a", Op: "writing", Offset: 4096, Err: syscall.ENOSPC}, []error{syscall.ENOSPC}, []error{ErrCorrupt},
			[]string{"/d/a: ", "writing", "4096 bytes in", syscall.ENOSPC.Error()}},
		{&SourceError{Offset: 12, Err: io.ErrUnexpectedEOF}, []error{io.ErrUnexpectedEOF}, []error{ErrCorrupt}, []string{"snapshot", "byte 12"}},
		{&ReadError{Path: "/d/a", Offset: 12, Err: syscall.EIO}, []error{syscall.EIO}, []error{ErrCorrupt}, []string{"/d/a: ", "byte 12", syscall.EIO.Error()}},
		{&LockedError{Path: "/d", PID: 42}, []error{ErrLocked}, nil, []string{"/d: ", "process 42", "close it there first"}},
		{&LockedError{Path: "/d"}, []error{ErrLocked}, nil, []string{"another process", "another directory"}},
		{skipped, []error{ErrCorrupt}, nil, []string{"/d/b: at byte 8192"}},
		{&SkippedError{Path: "/d/c", Err: io.ErrNoProgress}, []error{io.ErrNoProgress}, []error{ErrCorrupt}, []string{"/d/c: "}},
		{&AllDamagedError{Path: "/d", Skipped: []error{skipped, skipped}}, []error{ErrCorrupt}, []error{ErrNotFound}, []string{"/d: ", "none of 2", "/d/b", "the index"}},
	} {
		text := c.err.Error()
		for _, part := range c.says {
			if !strings.Contains(text, part) {
				t.Errorf("%T: %q is not in: %s", c.err, part, text)
			}
		}
		for _, target := range c.is {
			if !errors.Is(c.err, target) {
				t.Errorf("%T is not %v", c.err, target)
			}
		}
		for _, target := range c.not {
			if errors.Is(c.err, target) {
				t.Errorf("%T is %v", c.err, target)
			}
		}
	}
}
