package vm

import (
	"errors"
	"testing"
)

func TestReservationIsAlignedCommittedAndGivenBack(t *testing.T) {
	const size, align = 64 << 30, 2 << 20
	m, err := Reserve(size, align)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Unmap(); err != nil {
			t.Error(err)
		}
	}()
	if m.Addr()%align != 0 || m.Size() != size {
		t.Fatalf("reserved %d bytes at %#x", m.Size(), m.Addr())
	}
	if err := m.Commit(align, 2*PageSize); err != nil {
		t.Fatal(err)
	}
	b := m.Bytes(align, 2*PageSize)
	for i, c := range b {
		if c != 0 {
			t.Fatalf("fresh byte %d is %d", i, c)
		}
	}
	b[0], b[PageSize] = 1, 2
	if err := m.Discard(align, PageSize); err != nil {
		t.Fatal(err)
	}
	if b[0] != 0 || b[PageSize] != 2 {
		t.Fatalf("after Discard of the first page: %d %d", b[0], b[PageSize])
	}
}

func TestBytesOutsideTheMappingPanics(t *testing.T) {
	m, err := Map(PageSize)
	if err != nil {
		t.Skip(err)
	}
	defer m.Unmap()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	m.Bytes(1, PageSize)
}
