package cowheap_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// A heap has an end, and says so before anything has changed.
func ExampleOptions() {
	h, err := cowheap.New(&cowheap.Options{
		MaxSize: 16 << 20, // of address space; costs nothing until it is used
		Guard:   arena.GuardCopy,
		Seed:    1, // the same bytes on every peer
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.Update(func(m *cowheap.Mem) error {
		_, err := cowheap.Alloc[[32 << 20]byte](m)
		return err
	})
	fmt.Println("full:", errors.Is(err, cowheap.ErrFull), "guard:", h.Stats().Guard)
	// Output: full: true guard: copy
}

// A checkpoint that must be of the beginning of the call, not of any instant in it: whoever has its
// log up to there need not wait for the file. By default most are live.
func ExampleSaving() {
	dir, err := os.MkdirTemp("", "cowheap")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	h, err := cowheap.Open(dir, &cowheap.Options{Saving: cowheap.SaveFrozen})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Checkpoint(context.Background()); err != nil {
		log.Fatal(err)
	}
	s := h.Stats()
	fmt.Println(cowheap.SaveFrozen, "snapshots:", s.Taken, "live:", s.Lives)
	// Output: frozen snapshots: 1 live: 0
}

// What a snapshot has cost, and how many are open.
func ExampleStats() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("open:", h.Stats().Snapshots, "a pause:", s.Stats().Pause > 0)
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("open:", h.Stats().Snapshots)
	// Output:
	// open: 1 a pause: true
	// open: 0
}

// Every field that may not be in a heap is named, with what to use in its place.
func ExampleTypeError() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	type Row struct {
		ID   uint64
		Tags []uint32
	}
	err = h.Update(func(m *cowheap.Mem) error {
		_, err := cowheap.Alloc[Row](m)
		return err
	})
	if e, ok := errors.AsType[*cowheap.TypeError](err); ok {
		for _, f := range e.Fields {
			fmt.Println(f.Path, "is a", f.Type)
		}
	}
	// Output: Row.Tags is a []uint32
}

// A Ref that outlived what it refers to, in a structure that a root leads to.
func ExampleInvariantError() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	type Head struct{ First cowheap.Ref[uint64] }
	err = h.Update(func(m *cowheap.Mem) error {
		head, err := cowheap.Root[Head](m, "head")
		if err != nil {
			return err
		}
		r, err := cowheap.Alloc[uint64](m)
		if err != nil {
			return err
		}
		head.Ptr(m).First = r
		return cowheap.Free(m, r) // and head still refers to it
	})
	if err != nil {
		log.Fatal(err)
	}
	for err := range h.Check() {
		if e, ok := errors.AsType[*cowheap.InvariantError](err); ok {
			fmt.Println(e.Root, e.Path)
		}
	}
	// Output: head Head.First
}

// A heap of a later version is refused by name, not misread.
func ExampleVersionError() {
	fmt.Println(&cowheap.VersionError{Got: 2, Max: 1})
	// Output: heap has version 2, this version of cowheap reads 1 to 1: use the version that wrote it, or a newer one
}
