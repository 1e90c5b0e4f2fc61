//go:build linux && !amd64

package arena

import (
	"fmt"
	"runtime"
)

func (g *shadow) lazy(uint64, MissingPages) error {
	return fmt.Errorf("guard shadow cannot bring pages in as they are touched on %s: %w", runtime.GOARCH, ErrNotSupported)
}

func (g *shadow) fork(frozen, uint64) error {
	return fmt.Errorf("guard shadow cannot bring pages in as they are touched on %s: %w", runtime.GOARCH, ErrNotSupported)
}
