package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// first is the first process: index the tree, save half-way, start the second.
func first(ctx context.Context, s settings, out *printer, stderr io.Writer) (err error) {
	t, err := openTree(s.dir)
	if err != nil {
		return err
	}
	if err := t.list(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cowheap-quickstart-")
	if err != nil {
		return fmt.Errorf("making a directory for the checkpoint: %w", err)
	}
	fate := "removed at the end"
	if s.keep {
		fate = "kept: verify it again by -restore"
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}

	heap, err := cowheap.Open(dir, &cowheap.Options{Guard: s.guard})
	if err != nil {
		return fmt.Errorf("making a heap: %w", err)
	}
	out.line("tree         %s (%s)", s.dir, plural(len(t.paths), "file"))
	out.line("checkpoints  %s (%s)", dir, fate)
	out.heading("First process: index the words of every file (%s, %v guard)", plural(s.workers, "goroutine"), heap.Stats().Guard)
	err = indexAndSave(ctx, s, t, heap, out)
	// Close saves nothing: what is not in the checkpoint is gone. And it unlocks
	// the directory, which belongs to one heap at a time.
	if err = errors.Join(err, heap.Close()); err != nil {
		return err
	}
	return restart(ctx, s, dir, out.w, stderr)
}

// indexAndSave indexes the tree, and saves the heap meanwhile.
func indexAndSave(ctx context.Context, s settings, t *tree, heap *cowheap.Heap, out *printer) error {
	x, err := newIndexer(heap)
	if err != nil {
		return fmt.Errorf("beginning the index: %w", err)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	b := newBuild(t, x)
	indexed, saving := make(chan error, 1), make(chan saved, 1)
	go func() { indexed <- b.run(ctx, s.workers) }()
	go func() { saving <- b.save(ctx) }()

	redraw := time.NewTicker(50 * time.Millisecond)
	defer redraw.Stop()
	for running := 2; running > 0; {
		select {
		case <-redraw.C:
		case err := <-indexed:
			running--
			if err != nil {
				fail(err) // of several errors the first counts
			}
		case c := <-saving:
			running--
			if c.err != nil {
				fail(fmt.Errorf("saving a checkpoint: %w", c.err))
			} else {
				out.checkpoint(b, c)
			}
		}
		out.progress(b.done.Load(), int64(len(t.paths)), "of the files indexed")
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return out.indexed(b)
}

// restart starts this program once more, as the process that knows nothing but
// the checkpoint.
func restart(ctx context.Context, s settings, dir string, stdout, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting the second process: %w", err)
	}
	args := []string{"-restore", dir, "-dir", s.dir, "-guard", s.guard.String(), "--"}
	cmd := exec.CommandContext(ctx, self, append(args, s.queries...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the second process did not verify the index: %w", err)
	}
	return nil
}
