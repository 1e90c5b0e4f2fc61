//go:build !(linux && amd64)

package arena

import (
	"fmt"
	"runtime"
)

// newUserfault answers ErrNotSupported: faults are resolved on Linux on amd64 only.
func newUserfault(*Arena) (guard, error) {
	return nil, fmt.Errorf("guard userfault on %s/%s (use GuardCopy): %w", runtime.GOOS, runtime.GOARCH, ErrNotSupported)
}

func probeUserfault() error {
	return fmt.Errorf("faults are resolved on linux/amd64 only, this is %s/%s: %w", runtime.GOOS, runtime.GOARCH, ErrNotSupported)
}

func noteUserfault() string { return "" }

// newMprotect answers ErrNotSupported, as newUserfault.
func newMprotect(*Arena) (guard, error) {
	return nil, fmt.Errorf("guard mprotect on %s/%s (use GuardCopy): %w", runtime.GOOS, runtime.GOARCH, ErrNotSupported)
}

func probeMprotect() error { return probeUserfault() }
