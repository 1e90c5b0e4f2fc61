package main

import (
	"math"
	"testing"
)

func TestSizesAreReadAndWrittenAlike(t *testing.T) {
	for _, c := range []struct {
		text string
		want size
		back string
	}{
		{"64MiB", 64 << 20, "64MiB"},
		{"10GiB", 10 << 30, "10GiB"},
		{"1536MiB", 1536 << 20, "1536MiB"},
		{"1024MiB", 1 << 30, "1GiB"},
		{"2TiB", 2 << 40, "2TiB"},
		{"7KiB", 7 << 10, "7KiB"},
		{"12B", 12, "12B"},
		{"4096", 4096, "4KiB"},
		{"0", 0, "0B"},
		{"1 GiB", 1 << 30, "1GiB"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807B"},
	} {
		var s size
		if err := s.Set(c.text); err != nil || s != c.want {
			t.Errorf("%q is read as %d, error %v", c.text, s, err)
		}
		if got := s.String(); got != c.back {
			t.Errorf("%d is written as %q, not %q", s, got, c.back)
		}
	}
}

func TestWhatIsNoSizeIsRefused(t *testing.T) {
	for _, text := range []string{"", "MiB", "1.5GiB", "-1MiB", "1GB", "1gib", "99999999TiB", "9223372036854775808", "0x10"} {
		s := size(42)
		if err := s.Set(text); err == nil || s != 42 {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}

func TestBlocksRoundUp(t *testing.T) {
	for in, want := range map[size]int64{0: 0, 1: blockSize, blockSize: blockSize, blockSize + 1: 2 * blockSize} {
		if got := in.blocks(); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}
