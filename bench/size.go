package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes, written 64MiB or 10GiB. It is a flag.Value.
type size int64

const (
	pageSize  = 4096
	blockSize = 2 << 20 // a huge page
	mib       = 1 << 20
	gib       = 1 << 30

	// minSize is the least that a case can work on.
	minSize = 4 * blockSize
)

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"B", 1},
	{"", 1},
}

// Set reads a size: a whole number and a unit, or a number of bytes.
func (s *size) Set(text string) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		if err != nil {
			return fmt.Errorf("%q is no size: want a whole number of B, KiB, MiB, GiB or TiB, such as 64MiB", text)
		}
		if n > uint64(math.MaxInt64/unit.bytes) {
			return fmt.Errorf("%q is more than there can be", text)
		}
		*s = size(int64(n) * unit.bytes)
		return nil
	}
	panic("unreachable: the last unit is a suffix of everything")
}

// String writes a size as Set reads it, in the largest unit that divides it.
func (s size) String() string {
	for _, unit := range sizeUnits {
		if n := int64(s); n != 0 && n%unit.bytes == 0 && unit.name != "" {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return "0B"
}

// blocks is s rounded up to whole huge pages.
func (s size) blocks() int64 { return (int64(s) + blockSize - 1) / blockSize * blockSize }
