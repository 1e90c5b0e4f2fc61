//go:build !linux

package arena

import (
	"fmt"
	"runtime"
)

// newShadow answers ErrNotSupported: only Linux tells which pages were written.
func newShadow(*Arena) (guard, error) {
	return nil, fmt.Errorf("guard shadow on %s (use GuardCopy): %w", runtime.GOOS, ErrNotSupported)
}

func probeShadow() error {
	return fmt.Errorf("which pages were written is told by Linux only, this is %s: %w", runtime.GOOS, ErrNotSupported)
}
