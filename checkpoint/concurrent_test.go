package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// world is what a store has been given: every state by its ID.
type world struct {
	mu     sync.Mutex
	states map[uuid.UUID]memory
	saved  uuid.UUID // the newest that Save has returned
}

func (w *world) state(id uuid.UUID) memory {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[id]
}

func (w *world) newest() uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saved
}

// check reads an image: it is the state that was saved under its ID.
func (w *world) check(t *testing.T, how string, im *Image) {
	_, got, err := readImage(im)
	if err != nil || !bytes.Equal(got, w.state(im.Info().ID)) {
		t.Errorf("%s: %s is another state: %v", how, im.Info().ID, err)
	}
	if err := im.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadersSeeWholeStatesBesideEverything: List, Latest, Open and Verify, while saves go on,
// chains are folded in the background and by hand, and old ones pruned. What a reader gets is
// a state that was saved, whole; Latest is never older than what Save had returned before; and
// the only thing that may be missing is what was pruned.
func TestReadersSeeWholeStatesBesideEverything(t *testing.T) {
	saves := 400
	if testing.Short() {
		saves = 60
	}
	for name, opts := range map[string]StoreOptions{
		"keep 1":             {Keep: 1, MaxChain: 4},
		"keep 3, compressed": {Keep: 3, MaxChain: 6, Compression: S2},
		"long chains":        {Keep: 2, MaxChain: 32, NoFold: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTestStore(t, t.TempDir(), opts, unsyncedFS{})
			w := &world{states: map[uuid.UUID]memory{}}
			m := textArena(regionSize+9*pageSize, append(pagesBetween(0, 40), 515)...)
			var last Info
			saveOne := func(n int) {
				page := n * 7 % (len(m) / pageSize)
				m = bytes.Clone(m)
				m[page*pageSize+n%pageSize]++
				id, err := d.NewID()
				if err != nil {
					t.Error(err)
					return
				}
				w.mu.Lock()
				w.states[id] = m
				w.mu.Unlock()
				o := WriteOptions{ID: id}
				if n > 0 {
					o.Parent, o.ParentSize, o.Changed = last.ID, last.Size, ranges(page)
				}
				if last, err = d.Save(context.Background(), m, o); err != nil {
					t.Error(err)
				}
				w.mu.Lock()
				w.saved = id
				w.mu.Unlock()
			}
			saveOne(0)
			ctx, stop := context.WithCancel(t.Context())
			var others sync.WaitGroup
			counts := map[string]*int{}
			beside := func(name string, do func()) {
				n := new(int)
				counts[name] = n
				others.Go(func() {
					for ctx.Err() == nil {
						do()
						*n++
					}
				})
			}
			beside("list", func() {
				infos, skipped, err := d.List()
				if err != nil || len(skipped) != 0 || len(infos) == 0 {
					t.Errorf("List: %d, %v, %v", len(infos), skipped, err)
				}
				for _, info := range slices.Backward(infos) { // the oldest is the first to go
					im, err := d.Open(info.ID)
					if errors.Is(err, ErrNotFound) {
						continue
					}
					if err != nil {
						t.Errorf("Open: %v", err)
						continue
					}
					w.check(t, "Open", im)
				}
			})
			beside("latest", func() {
				before := w.newest()
				im, skipped, err := d.Latest(func(im *Image) error { return im.Verify(ctx, nil) })
				if errors.Is(err, context.Canceled) {
					return
				}
				if err != nil || len(skipped) != 0 {
					t.Errorf("Latest: %v, %v", skipped, err)
					return
				}
				if id := im.Info().ID; bytes.Compare(id[:], before[:]) < 0 {
					t.Errorf("Latest is %s, older than %s", id, before)
				}
				w.check(t, "Latest", im)
			})
			beside("verify", func() {
				if err := d.Verify(t.Context(), w.newest(), nil); err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("Verify: %v", err)
				}
			})
			beside("fold", func() {
				info, err := d.Fold(t.Context(), w.newest())
				if err != nil && !errors.Is(err, ErrNotFound) || err == nil && info.Incremental {
					t.Errorf("Fold: %+v, %v", info, err)
				}
			})
			beside("prune", func() {
				if _, err := d.Prune(Policy{Keep: 1}); err != nil {
					t.Errorf("Prune: %v", err)
				}
			})
			for n := 1; n < saves && !t.Failed(); n++ {
				saveOne(n)
			}
			stop()
			others.Wait()
			d.background.Wait()
			if err := errors.Join(d.FoldError(), d.PruneError()); err != nil {
				t.Error(err)
			}
			im, skipped, err := d.Latest(nil)
			if err != nil || len(skipped) != 0 || im.Info().ID != w.newest() {
				t.Fatalf("in the end: %v, %v", skipped, err)
			}
			w.check(t, "in the end", im)
			checkNoLeftovers(t, "in the end", d)
			for name, n := range counts {
				t.Logf("%s: %d times beside %d saves", name, *n, saves)
			}
		})
	}
}
