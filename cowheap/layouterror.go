package cowheap

import (
	"fmt"
	"strings"
)

// LayoutError says how the type that a program has for a root differs from the
// type that the heap holds. It is an ErrLayout.
//
// Only one change is allowed: bytes that were set aside by a blank field of type
// [N]byte may become fields with names.
type LayoutError struct {
	Root        string
	Differences []Difference // at least one, at most 100
}

// Difference is one way in which two layouts differ.
type Difference struct {
	Path string // as in a FieldError
	Was  string // in the heap
	Is   string // in the program
}

func (e *LayoutError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "root %q: %v from the heap's", e.Root, ErrLayout)
	sep := ": "
	for _, d := range e.Differences {
		fmt.Fprintf(&b, "%s%s was %s, is %s", sep, d.Path, d.Was, d.Is)
		sep = "; "
	}
	return b.String()
}

// Unwrap returns ErrLayout.
func (e *LayoutError) Unwrap() error { return ErrLayout }

// maxDifferences ends a LayoutError that nobody would read.
const maxDifferences = 100
