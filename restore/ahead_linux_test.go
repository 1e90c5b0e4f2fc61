package restore

import (
	"bytes"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/block"
)

// What the system is asked to read ahead is what the faults stand for, without the pages that are zero.
func TestReadAheadIsWhereThePagesAre(t *testing.T) {
	src, want := source(t, arena.GuardAuto)
	im := saved(t, src)
	defer im.Close()
	page := func(i uint32) []byte { return want[int(i)*block.PageSize:][:block.PageSize] }
	zero := func(i uint32) bool { return len(bytes.Trim(page(i), "\x00")) == 0 }
	d := im.Direct()
	var faults []uint32
	rows := 0
	for i := range uint32(len(want) / block.PageSize) {
		if d.Index[i/block.RegionPages] == 0 || i%16 != 0 && i%7 != 0 {
			continue
		}
		faults = append(faults, i)
		for k := range uint32(rowOf(i)) {
			if !zero(i + k) {
				rows++
				break
			}
		}
	}
	i := 0
	for off, n := range placesOf(d, faults) {
		got := make([]byte, n)
		if _, err := d.File.ReadAt(got, int64(off)); err != nil {
			t.Fatal(err)
		}
		var stored []byte
		for ; stored == nil; i++ {
			for k := range uint32(rowOf(faults[i])) {
				if !zero(faults[i] + k) {
					stored = append(stored, page(faults[i]+k)...)
				}
			}
		}
		if !bytes.Equal(got, stored) {
			t.Errorf("fault at page %d: bytes [%d, %d) of the file are something else", faults[i-1], off, off+n)
		}
		rows--
	}
	if rows != 0 {
		t.Errorf("%d rows are left out", rows)
	}
}
