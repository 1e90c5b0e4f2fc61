package main

import (
	"encoding/binary"
	"testing"
)

func TestDamagedBulkIsFound(t *testing.T) {
	chunks := []*chunk{new(chunk), new(chunk)}
	number := uint64(0)
	for _, c := range chunks {
		for i := 0; i < len(c); i += 8 {
			number++
			binary.LittleEndian.PutUint64(c[i:], scramble(number))
		}
	}
	for page := range 2 * mib / pageSize {
		if err := checkBulk(chunks, page); err != nil {
			t.Fatal(err)
		}
	}
	chunks[1][3*pageSize] ^= 1
	if checkBulk(chunks, mib/pageSize+3) == nil {
		t.Error("a changed byte is not found")
	}
}

func TestScrambleIsNeverZero(t *testing.T) {
	seen := map[uint64]bool{0: true}
	for n := uint64(1); n <= 1<<16; n++ {
		if s := scramble(n); seen[s] {
			t.Fatalf("scramble(%d) is %#x, which was there before", n, s)
		} else {
			seen[s] = true
		}
	}
}
