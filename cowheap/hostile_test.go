package cowheap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/checkpoint"
)

// TestHostileFilesAreNoHeaps: each file of checkpoint/testdata/hostile, alone in a directory,
// is an error, eagerly, lazily and from a stream; and never an empty heap, nor a crash.
func TestHostileFilesAreNoHeaps(t *testing.T) {
	paths := have[[]string](t)(filepath.Glob("../checkpoint/testdata/hostile/*.cowheap"))
	if len(paths) < 100 {
		t.Fatalf("%d files", len(paths))
	}
	refused := func(err error) bool {
		_, version := errors.AsType[*checkpoint.VersionError](err)
		_, pages := errors.AsType[*checkpoint.PageSizeError](err)
		return err != nil && (errors.Is(err, ErrCorrupt) || version || pages || errors.Is(err, checkpoint.ErrNoParent) || errors.Is(err, ErrFull)) && !errors.Is(err, ErrNotFound)
	}
	ways := map[string]*Options{"eagerly": {MaxSize: 64 << 20}}
	for _, g := range lazyGuards {
		t.Run("can be lazy", func(t *testing.T) {
			o := lazyOptions(t, g)
			o.MaxSize = 64 << 20
			ways["lazily by "+g.String()] = o
		})
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".cowheap")
		file := have[[]byte](t)(os.ReadFile(path))
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "01890f3c1a2b7c4d8e5f0123456789ab.cowheap"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		for how, o := range ways {
			h, err := Open(dir, o)
			if err == nil {
				err = errors.Join(errors.New("it is a heap"), h.Close())
			}
			if !refused(err) {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
		h, err := Restore(bytes.NewReader(file), ways["eagerly"])
		if err == nil {
			err = errors.Join(errors.New("it is a heap"), h.Close())
		}
		if !refused(err) {
			t.Errorf("%s, from a stream: %v", name, err)
		}
	}
}
