package main

import (
	"errors"
	"testing"

	"github.com/cowheap/cowheap/internal/uffd"
)

// Each of its variants is, not only the first that is asked for.
func TestRedisIsSkippedWhereThereIsNone(t *testing.T) {
	if err := uffd.HaveWriteProtect(); err != nil {
		t.Skip(err)
	}
	t.Setenv("PATH", "")
	b, err := openRedis(Setup{Size: 1 << 20, Dir: t.TempDir(), Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, variant := range []string{"redis/before/p50", "redis/before/p99"} {
		if _, err := b.Measure(variant); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want %v", variant, err, errors.ErrUnsupported)
		}
	}
}
