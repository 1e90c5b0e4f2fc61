package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

const (
	hostileDir   = "testdata/hostile"
	parentSuffix = ".parent" // of what stands beside a file instead of its parent
)

// TestHostileFilesAreAllThere compares the directory with the table, and writes it anew
// with -update. What is in it was made once: later versions must refuse the same bytes.
func TestHostileFilesAreAllThere(t *testing.T) {
	var want []string
	put := func(name string, file func(t tester) []byte) {
		want = append(want, name)
		if *update {
			if err := errors.Join(os.MkdirAll(hostileDir, 0o755), os.WriteFile(filepath.Join(hostileDir, name), file(t), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, h := range hostileFiles {
		put(name+fileSuffix, h.make)
		if h.parent != nil {
			put(name+parentSuffix, h.parent)
		}
	}
	slices.Sort(want)
	got, err := osFilesystem{}.Names(hostileDir)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v; only in the table: %v; only in the directory: %v", err, without(want, got), without(got, want))
	}
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestGoodOnesAreNotRefused: the same files without what is wrong with them, or the other
// tests prove nothing.
func TestGoodOnesAreNotRefused(t *testing.T) {
	same := func(h block.Header, stored []byte) []byte { return stored }
	for name, b := range map[string][]byte{
		"no blocks":  changed(0, func([]byte) {})(t),
		"two blocks": changed(2, func([]byte) {})(t),
		"forged":     forged(contentOf, 2, 2, oneBlock, 0, twoBlock)(t),
		"s2":         compressed(S2, same)(t),
		"zstd":       compressed(Zstd, same)(t),
		"child":      changedChild(func([]byte) {})(t),
	} {
		h := newHostile(t, name, b)
		for door, open := range doors {
			if err := open(t, h.in(t), &h); err != nil {
				t.Errorf("%s, by %s: %v", name, door, err)
			}
		}
	}
}

// hostileBytes is a file and what stands in its parent's place.
type hostileBytes struct {
	name         string
	file, parent []byte
	child        []byte // that has the file as its parent
}

var childID = numberedID(200)

func newHostile(t *testing.T, name string, file []byte) hostileBytes {
	opts := testOptions()
	opts.ID, opts.Parent, opts.ParentSize, opts.Changed = childID, testID, corpusSize, ranges(2)
	if strings.HasPrefix(name, "s2") || strings.HasPrefix(name, "zstd") {
		opts.ParentSize = packedSize
	}
	return hostileBytes{name, file, parentOf(t, twoPages(), nil), encode(t, twoPages(), opts)}
}

func readHostile(t *testing.T, name string) hostileBytes {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(hostileDir, name+fileSuffix))
	if err != nil {
		t.Fatal(err)
	}
	h := newHostile(t, name, file)
	if hostileFiles[name].parent != nil {
		if h.parent, err = os.ReadFile(filepath.Join(hostileDir, name+parentSuffix)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// in is a directory with the file, under the name of testID, and its parent.
func (h *hostileBytes) in(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, fileName(testParent)), h.parent, 0o600),
		os.WriteFile(filepath.Join(dir, fileName(testID)), h.file, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withStore opens the directory for one door.
func withStore(t *testing.T, dir string, do func(d *Store) error) error {
	d, err := openStore(dir, StoreOptions{NoFold: true}, unsyncedFS{})
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(do(d), d.Close())
}

func openAndVerify(path string) error {
	im, err := OpenImage(path)
	if err != nil {
		return err
	}
	return errors.Join(im.Verify(context.Background(), nil), im.Close())
}

// doors are all ways by which a file comes in. Each reads everything, and answers what is
// wrong with it.
var doors = map[string]func(t *testing.T, dir string, h *hostileBytes) error{
	"image": func(t *testing.T, dir string, _ *hostileBytes) error {
		return openAndVerify(filepath.Join(dir, fileName(testID)))
	},
	"stream": func(t *testing.T, _ string, h *hostileBytes) error { return drain(bytes.NewReader(h.file)) },
	"receive": func(t *testing.T, dir string, h *hostileBytes) error {
		if err := os.Remove(filepath.Join(dir, fileName(testID))); err != nil {
			t.Fatal(err)
		}
		return withStore(t, dir, func(d *Store) error {
			_, err := d.Receive(t.Context(), bytes.NewReader(h.file))
			if left := files(t, dir); err != nil && !slices.Equal(left, []string{fileName(testParent)}) {
				t.Errorf("left behind: %v", left)
			}
			return err
		})
	},
	"open by ID": func(t *testing.T, dir string, _ *hostileBytes) error {
		return withStore(t, dir, func(d *Store) error { return d.Verify(t.Context(), testID, nil) })
	},
	"latest": func(t *testing.T, dir string, _ *hostileBytes) error {
		return withStore(t, dir, func(d *Store) error {
			im, skipped, err := d.Latest(func(im *Image) error { return im.Verify(t.Context(), nil) })
			if err == nil {
				err = im.Close()
			}
			return errors.Join(append(skipped, err)...)
		})
	},
	"fold": func(t *testing.T, dir string, _ *hostileBytes) error {
		return withStore(t, dir, func(d *Store) error {
			_, err := d.Fold(t.Context(), testID)
			if err == nil {
				// Of a full one it opens it only; and what nobody sees is not read.
				err = openAndVerify(filepath.Join(dir, fileName(testID)))
			}
			return err
		})
	},
	"parent": func(t *testing.T, dir string, h *hostileBytes) error {
		path := filepath.Join(dir, fileName(childID))
		if err := os.WriteFile(path, h.child, 0o600); err != nil {
			t.Fatal(err)
		}
		return openAndVerify(path)
	},
}

// isKind reports whether an error is of the type that the table has.
func isKind(want string, err error) bool {
	var ok bool
	switch want {
	case "format", "truncated":
		_, ok = errors.AsType[*FormatError](err)
	case "checksum":
		_, ok = errors.AsType[*ChecksumError](err)
	case "version":
		_, ok = errors.AsType[*VersionError](err)
	case "pagesize":
		_, ok = errors.AsType[*PageSizeError](err)
	case "parent":
		_, ok = errors.AsType[*ParentError](err)
		return ok && (errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoParent))
	}
	return ok && isTyped(err) &&
		errors.Is(err, ErrCorrupt) == (want != "version" && want != "pagesize") &&
		errors.Is(err, ErrTruncated) == (want == "truncated")
}

// TestHostileFilesAreRefusedByEveryDoor, by type, and without taking memory for what they
// claim.
func TestHostileFilesAreRefusedByEveryDoor(t *testing.T) {
	for _, name := range sortedKeys(hostileFiles) {
		want := hostileFiles[name]
		t.Run(name, func(t *testing.T) {
			h := readHostile(t, name)
			for door, open := range doors {
				var err error
				n := leastAllocated(func() { err = open(t, h.in(t), &h) })
				if door == "stream" && want.alone {
					if err != nil {
						t.Errorf("by stream: %v, want nothing", err)
					}
					continue
				}
				// A stream knows only what has come so far, and may name the same in
				// another way; one that ends too early is cut for it.
				ok := isKind(want.want, err)
				if !ok && (door == "stream" || door == "receive") {
					ok = isTyped(err) && errors.Is(err, ErrCorrupt) && want.want != "version" && want.want != "pagesize"
				}
				if !ok || strings.Contains(err.Error(), "%!") {
					t.Errorf("by %s: %v, want %s", door, err, want.want)
				}
				if n > hostileMemory && !poolsForget {
					t.Errorf("by %s: %d bytes were taken, want at most %d", door, n, hostileMemory)
				}
			}
		})
	}
}

// hostileMemory bounds what a door takes for a file of some KB, the directory around it
// included. Buffers of 2 MiB come from a pool.
const hostileMemory = 1 << 20

// leastAllocated is allocated by the thriftiest of several runs: between two, a collection
// may empty the pools.
func leastAllocated(fn func()) uint64 {
	least := allocated(fn)
	for range 4 {
		if least <= hostileMemory || poolsForget {
			break
		}
		least = min(least, allocated(fn))
	}
	return least
}

// TestOpeningRefusesWhatItCan: a lazy restore does no more at first.
func TestOpeningRefusesWhatItCan(t *testing.T) {
	for name, want := range hostileFiles {
		h := readHostile(t, name)
		dir := h.in(t)
		im, err := OpenImage(filepath.Join(dir, fileName(testID)))
		if (err == nil) != want.opens {
			t.Errorf("%s: opening says %v, want an error: %v", name, err, !want.opens)
		}
		if err == nil {
			im.Close()
		}
		err = withStore(t, dir, func(d *Store) error {
			_, skipped, err := d.List()
			return errors.Join(append(skipped, err)...)
		})
		if (err == nil) != want.opens {
			t.Errorf("%s: List says %v, want an error: %v", name, err, !want.opens)
		}
	}
}

// claimed are files whose every page has a right checksum: who makes those may as well write
// other pages. Verify refuses them for what does not fit together.
var claimed = []string{"entry-one-region-later", "size-two-pages-less", "block-with-a-page-more", "block-with-a-page-outside", "block-with-a-page-that-is-not-there"}

// TestDamagedPagesAreNotGivenOut: whatever a hostile file that can be opened gives of its
// pages is what was written, or an error.
func TestDamagedPagesAreNotGivenOut(t *testing.T) {
	for name, want := range hostileFiles {
		if !want.opens {
			continue
		}
		h := readHostile(t, name)
		im, err := OpenImage(filepath.Join(h.in(t), fileName(testID)))
		if err != nil {
			t.Fatal(name, err)
		}
		good := twoPages()
		if im.Info().Compressed {
			good = packedPages()
		}
		refused := 0
		page := make([]byte, pageSize)
		for p := range im.Size() / pageSize {
			err := im.ReadPage(p, page)
			switch {
			case err != nil && !(isTyped(err) && errors.Is(err, ErrCorrupt)):
				t.Errorf("%s: page %d: %v", name, p, err)
			case err != nil:
				refused++
			case !bytes.Equal(page, good[p*pageSize:][:pageSize]) && !slices.Contains(claimed, name):
				t.Errorf("%s: page %d is another", name, p)
			}
		}
		if _, err := im.ReadAt(make([]byte, im.Size()), 0); err == nil || err == io.EOF {
			t.Logf("%s: all pages are good, what is around them is not", name)
		} else if refused == 0 {
			t.Errorf("%s: ReadAt: %v, ReadPage has refused nothing", name, err)
		}
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	}
}
