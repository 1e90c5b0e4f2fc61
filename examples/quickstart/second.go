package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// second is the second process: restore the index from the checkpoint, answer
// queries at once, verify all of it.
func second(ctx context.Context, s settings, out *printer) error {
	// Open makes a directory that is not there.
	if _, err := os.Stat(s.restore); err != nil {
		return fmt.Errorf("looking for checkpoints: %w", err)
	}
	t, err := openTree(s.dir)
	if err != nil {
		return err
	}
	start := time.Now()
	heap, err := cowheap.Open(s.restore, &cowheap.Options{
		Guard: s.guard,
		// Pages come in as they are touched, and the rest behind our back. Two of the
		// guards cannot do that, and say so if asked for it.
		Lazy: bringsIn(s.guard),
	})
	if err != nil {
		return err
	}
	verdict, err := restored(ctx, s, t, heap, start, out)
	if err = errors.Join(err, heap.Close()); err != nil {
		return err
	}
	return out.last("verified: " + verdict)
}

// bringsIn tells whether pages can come in as they are touched.
func bringsIn(g arena.Guard) bool {
	return g == arena.GuardAuto || g == arena.GuardUserfault || g == arena.GuardShadow && runtime.GOARCH == "amd64"
}

// restored works with the heap that was opened at start.
func restored(ctx context.Context, s settings, t *tree, heap *cowheap.Heap, start time.Time, out *printer) (verdict string, err error) {
	var root cowheap.Ref[Index]
	err = heap.View(func(m *cowheap.Mem) (err error) {
		root, err = cowheap.Root[Index](m, rootName)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("looking for the index in %s: %w", s.restore, err)
	}
	opened := time.Since(start)

	info, _ := heap.Origin()
	lazy := bringsIn(heap.Stats().Guard)
	out.heading("Second process: open the checkpoint (process %d)", os.Getpid())
	if lazy {
		out.figure("opened", span(opened), "lazily: %s pages, %s, come in as they are touched", count(info.Pages), mib(info.Size))
	} else {
		out.figure("opened", span(opened), "eagerly: all of %s is in memory and verified (%v guard)", mib(info.Size), heap.Stats().Guard)
	}
	if err := ask(heap, root, s.queries, opened, out); err != nil {
		return "", err
	}
	if err := inOrder(heap, root, out); err != nil {
		return "", err
	}
	if err := heap.Populate(ctx); err != nil {
		return "", fmt.Errorf("bringing in what the queries did not touch: %w", err)
	}
	if lazy {
		out.figure("all in", span(time.Since(start)), "after the start; %s were waited for, the rest came in the background", plural(heap.Stats().Missing, "page"))
	}
	return verify(ctx, heap, root, t, out)
}

// ask answers the queries.
func ask(heap *cowheap.Heap, root cowheap.Ref[Index], queries []string, opened time.Duration, out *printer) error {
	for i, query := range queries {
		began := time.Now()
		var found answer
		err := heap.View(func(m *cowheap.Mem) error {
			found = root.Ptr(m).find(m, strings.FieldsFunc(query, betweenWords))
			return nil
		})
		if err != nil {
			return err
		}
		took := time.Since(began)
		if i == 0 {
			out.figure("first answer", span(opened+took), "opening included: %q: %v", query, found)
		} else {
			out.figure("answer", span(took), "%q: %v", query, found)
		}
	}
	return nil
}

// inOrder goes through the sorted view.
func inOrder(heap *cowheap.Heap, root cowheap.Ref[Index], out *printer) error {
	began := time.Now()
	var most directory
	var files int
	err := heap.View(func(m *cowheap.Mem) error {
		index := root.Ptr(m)
		most, files = index.largest(m), index.ByPath.Len()
		return nil
	})
	if err == nil && files > 0 {
		out.figure("in order", span(time.Since(began)), "%s by path: most is in %s, %s of %s", plural(files, "file"), most.name, plural(most.files, "file"), mib(most.bytes))
	}
	return err
}
