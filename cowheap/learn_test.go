package cowheap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/restore"
)

// A damaged set of touched pages is reported, and no harm; saving checkpoints removes what belongs to none.
func TestLearnedSetsOfAHeap(t *testing.T) {
	dir := t.TempDir()
	h, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Update(func(m *Mem) error { _, err := Root[[64 << 10]byte](m, "bytes"); return err }); err != nil {
		t.Fatal(err)
	}
	info, err := h.Checkpoint(t.Context())
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	set := info.Path[:len(info.Path)-len(filepath.Ext(info.Path))] + ".touched"
	if err := os.WriteFile(set, []byte("no set"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		h, err = Open(dir, &Options{Lazy: true, Learn: on})
		if err != nil {
			t.Fatal(err)
		}
		s := h.Stats()
		if lazy := s.RestorePages > 0; s.Learned != 0 || errors.Is(s.LearnErr, restore.ErrTouched) != (lazy && on) {
			t.Errorf("Learn %v: learned %d, %v", on, s.Learned, s.LearnErr)
		}
		if err := errors.Join(h.Populate(t.Context()), h.Close()); err != nil {
			t.Error(err)
		}
	}
	orphan := filepath.Join(dir, strings.Repeat("01", 16)+".touched")
	if err := os.WriteFile(orphan, []byte("no set"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err = Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Checkpoint(t.Context())
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the set of no checkpoint is still there: %v", err)
	}
}
