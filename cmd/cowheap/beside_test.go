package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/checkpoint"
)

// pages is an arena of some pages that a test writes to.
type pages []byte

func (p pages) Size() int64 { return int64(len(p)) }

func (p pages) ReadAt(b []byte, off int64) (int, error) { return copy(b, p[off:]), nil }

// TestFilesMayComeAndGoBeside: a program saves, prunes and folds in the directory that is looked at. What is
// there at the end of looking is good, whatever has gone meanwhile.
func TestFilesMayComeAndGoBeside(t *testing.T) {
	dir := t.TempDir()
	s, err := checkpoint.OpenStore(dir, checkpoint.StoreOptions{Keep: 1, MaxChain: 4})
	if err != nil {
		t.Fatal(err)
	}
	p := make(pages, 64<<12)
	var last checkpoint.Info
	save := func(ctx context.Context) error {
		p[int(last.ID[6])%64<<12]++
		opts := checkpoint.WriteOptions{}
		if last.ID != uuid.Nil {
			opts.Parent, opts.ParentSize = last.ID, last.Size
			opts.Changed = func(yield func(off, n int64) bool) { yield(0, last.Size) }
		}
		info, err := s.Save(ctx, p, opts)
		last = info
		return err
	}
	if err := save(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		for ctx.Err() == nil {
			if err := save(context.Background()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	looks := 60
	if testing.Short() {
		looks = 20
	}
	for range looks {
		for _, command := range []string{"verify", "inspect"} {
			if status, stdout, stderr := do(t, command, dir); status != exitOK || stdout == "" {
				t.Errorf("%s: status %d, %s, %s", command, status, stdout, stderr)
			}
		}
	}
	stop()
	if err := errors.Join(<-done, s.FoldError(), s.PruneError(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestFoldChangesTheFileThatItIsGiven, not the one whose copy it is.
func TestFoldChangesTheFileThatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	s, err := checkpoint.OpenStore(dir, checkpoint.StoreOptions{NoFold: true})
	if err != nil {
		t.Fatal(err)
	}
	p := make(pages, 64<<12)
	full, err := s.Save(t.Context(), p, checkpoint.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Save(t.Context(), p, checkpoint.WriteOptions{Parent: full.ID, ParentSize: full.Size, Changed: func(yield func(off, n int64) bool) { yield(0, 4096) }})
	if err := errors.Join(err, s.Close()); err != nil || !info.Incremental {
		t.Fatal(info, err)
	}
	was, err := os.ReadFile(info.Path)
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(dir, "backup.cowheap")
	if err := os.WriteFile(backup, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := do(t, "fold", backup); status != exitFailed || !strings.Contains(stderr, filepath.Base(info.Path)) {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	if now, err := os.ReadFile(info.Path); err != nil || !bytes.Equal(now, was) {
		t.Errorf("another file was folded, %v", err)
	}
	if status, _, stderr := do(t, "fold", info.Path); status != exitOK {
		t.Errorf("status %d, %s", status, stderr)
	}
}
