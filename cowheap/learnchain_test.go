package cowheap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

// touchedBytes is a set of touched pages by docs/FORMAT.md.
func touchedBytes(pages ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte("CWTOUCH1"), uint32(len(pages)))
	for _, p := range pages {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// touchedIn is the names of what was learned in a directory, and of leftovers.
func touchedIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, e := range have[[]os.DirEntry](t)(os.ReadDir(dir)) {
		if strings.Contains(e.Name(), ".touched") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestOneSetFollowsAChain: through increments, folds in the background and what they prune
// there is one set, and the next lazy Open has it.
func TestOneSetFollowsAChain(t *testing.T) {
	o := *lazyOptions(t, arena.GuardUserfault)
	o.Track, o.MaxChain, o.Keep = true, 4, 1
	lazy := o
	lazy.NoPrefetch, lazy.Learn = false, true
	o.Lazy = false
	dir, rng := memoryDir(t), rand.New(rand.NewPCG(5, 5))
	h := have[*Heap](t)(Open(dir, &o))
	till(t, h, rng, 20_000)
	info := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	set := strings.TrimSuffix(info.Path, filepath.Ext(info.Path)) + ".touched"
	const beyond = 1 << 30
	if err := os.WriteFile(set, touchedBytes(40, 30, beyond, 20), 0o600); err != nil {
		t.Fatal(err)
	}
	incremental := 0
	for range 3 {
		for range 8 {
			till(t, h, rng, 20)
			info = have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
			if info.Incremental {
				incremental++
			}
			if got := touchedIn(t, dir); len(got) != 1 {
				t.Fatalf("after a checkpoint there are %v", got)
			}
		}
		was := memoryOf(t, h)
		closing(t, h)
		h = have[*Heap](t)(Open(dir, &lazy))
		if s := h.Stats(); s.Learned < 3 || s.LearnErr != nil {
			t.Errorf("learned %d, %v", s.Learned, s.LearnErr)
		}
		if err := h.Populate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(memoryOf(t, h), was) {
			t.Error("another state")
		}
		if s := h.Stats(); s.LearnErr != nil {
			t.Error(s.LearnErr)
		}
		closing(t, h)
		h = have[*Heap](t)(Open(dir, &o))
	}
	closing(t, h)
	if incremental == 0 {
		t.Error("no checkpoint was incremental, so this test proves little")
	}
	if got := touchedIn(t, dir); len(got) == 0 || len(got) > 2 { // of the one, and of the newest
		t.Errorf("in the end there are %v", got)
	}
}

// TestDamagedSetOfAChain is reported and not used; the state is what it was.
func TestDamagedSetOfAChain(t *testing.T) {
	o := *lazyOptions(t, arena.GuardUserfault)
	o.Track, o.Lazy = true, false
	dir, rng := memoryDir(t), rand.New(rand.NewPCG(6, 6))
	h := have[*Heap](t)(Open(dir, &o))
	till(t, h, rng, 20_000)
	have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	till(t, h, rng, 20)
	info := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	want := memoryOf(t, h)
	closing(t, h)
	good := touchedBytes(1, 2, 3)
	flipped := bytes.Clone(good)
	flipped[13] ^= 4
	o.Lazy, o.Learn, o.NoPrefetch = true, true, false
	set := strings.TrimSuffix(info.Path, filepath.Ext(info.Path)) + ".touched"
	for name, c := range map[string]struct {
		content []byte
		learned int
		err     error
	}{
		"good": {good, 3, nil}, "damaged": {flipped, 0, restore.ErrTouched}, "cut": {good[:len(good)-5], 0, restore.ErrTouched},
		"nothing": {nil, 0, restore.ErrTouched}, "all beyond the end": {touchedBytes(1<<31, 1<<20), 0, nil},
	} {
		if err := os.WriteFile(set, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		h := have[*Heap](t)(Open(dir, &o))
		if s := h.Stats(); s.Learned != c.learned || !errors.Is(s.LearnErr, c.err) || (s.LearnErr == nil) != (c.err == nil) {
			t.Errorf("%s: learned %d, %v", name, s.Learned, s.LearnErr)
		}
		if err := h.Populate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(memoryOf(t, h), want) {
			t.Errorf("%s: another state", name)
		}
		closing(t, h)
	}
}
