package checkpoint

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/uuid"
)

// TestRefusedStreamTakesNoIDs: what was not stored must not decide which IDs come next. The
// last one that there is would leave none.
func TestRefusedStreamTakesNoIDs(t *testing.T) {
	last := uuid.Max
	opts := numbered(0)
	opts.ID = last
	full := encode(t, state(0), opts)
	opts.Parent, opts.ParentSize, opts.Changed = numberedID(7), state(0).Size(), ranges(1)
	for name, b := range map[string][]byte{"cut": full[:len(full)-1], "without its parent": encode(t, state(0), opts)} {
		t.Run(name, func(t *testing.T) {
			d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
			if _, err := d.Receive(t.Context(), bytes.NewReader(b)); !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNoParent) {
				t.Fatal(err)
			}
			if _, err := d.Save(t.Context(), state(1), WriteOptions{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			wantLatest(t, d, 1)
		})
	}
}

// TestReceivedIDsAreSeen: what is saved next sorts after them.
func TestReceivedIDsAreSeen(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9}, unsyncedFS{})
	opts := numbered(0)
	opts.ID[0] = 0x7f
	if _, err := d.Receive(t.Context(), bytes.NewReader(encode(t, state(0), opts))); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Save(t.Context(), state(1), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	wantLatest(t, d, 1)
}
