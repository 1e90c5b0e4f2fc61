package uffd

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotSupported is what every *NotSupportedError is: this machine, kernel or container does not have the feature. It
// is an errors.ErrUnsupported.
var ErrNotSupported = fmt.Errorf("not supported here: %w", errors.ErrUnsupported)

// NotSupportedError says that something is definitely not there, why, and what to do about it.
type NotSupportedError struct {
	Feature   string  // what is missing: "userfaultfd", "WP_UNPOPULATED", "PAGEMAP_SCAN"
	Missing   Feature // the bits that UFFDIO_API does not offer, if it is about those
	MinKernel string  // first kernel version that has it, "6.4"; "" if no version helps
	Reason    string  // what was observed
	Remedy    string  // what to do; "" if nothing but a newer kernel helps
	Err       error   // the errno behind it, may be nil
}

// Error gives feature, reason and remedy in one line.
func (e *NotSupportedError) Error() string {
	var b strings.Builder
	b.WriteString(e.Feature)
	b.WriteString(" is not supported here")
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	if e.MinKernel != "" {
		fmt.Fprintf(&b, " (needs Linux %s or later)", e.MinKernel)
	}
	if e.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(e.Remedy)
	}
	return b.String()
}

// Is reports whether target is ErrNotSupported or errors.ErrUnsupported.
func (e *NotSupportedError) Is(target error) bool {
	return target == ErrNotSupported || target == errors.ErrUnsupported
}

// Unwrap returns the errno behind it, or nil.
func (e *NotSupportedError) Unwrap() error { return e.Err }

// OpError is a request about a range that the kernel refused. Match the errno with errors.Is(err, unix.EEXIST) and so on.
type OpError struct {
	Op   string  // "protecting", "copying", ...
	Addr uintptr // first byte of the range that was refused
	Len  uintptr // its length in bytes
	Err  error
}

func (e *OpError) Error() string {
	return fmt.Sprintf("%s %#x+%#x: %v", e.Op, e.Addr, e.Len, e.Err)
}

// Unwrap returns the errno.
func (e *OpError) Unwrap() error { return e.Err }
