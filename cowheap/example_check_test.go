package cowheap_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/cowheap/cowheap/cowheap"
)

// Check names what is wrong: here a Ref that has outlived what it referred to.
func ExampleHeap_Check() {
	type node struct {
		Value uint64
		Next  cowheap.Ref[node]
	}
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.Update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[node](m, "list")
		if err != nil {
			return err
		}
		next, err := cowheap.Alloc[node](m)
		if err != nil {
			return err
		}
		root.Ptr(m).Next = next
		return cowheap.Free(m, next) // and the list still leads there
	})
	if err != nil {
		log.Fatal(err)
	}
	for err := range h.Check() {
		if e, ok := err.(*cowheap.InvariantError); ok {
			fmt.Println(e.Root, e.Path)
		}
	}
	// Output:
	// list node.Next
}

// go tool pprof -top shows who holds the memory of a heap.
func ExampleHeap_WriteProfile() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	var file bytes.Buffer
	fmt.Println(h.WriteProfile(&file), file.Len() > 0)
	// Output:
	// <nil> true
}

// A stream holds a whole heap: a network connection, an object store, a raft log.
func ExampleSnapshot_WriteTo() {
	h, err := cowheap.New(&cowheap.Options{MaxSize: 1 << 30})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	set := func(n uint64) {
		err := h.Update(func(m *cowheap.Mem) error {
			root, err := cowheap.Root[uint64](m, "n")
			if err == nil {
				*root.Ptr(m) = n
			}
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	set(1)
	s, err := h.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	set(2) // after the instant
	var stream bytes.Buffer
	if _, err := s.WriteTo(&stream); err != nil {
		log.Fatal(err)
	}
	again, err := cowheap.Restore(&stream, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	err = again.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[uint64](m, "n")
		if err == nil {
			fmt.Println(*root.Ptr(m))
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Stats().Snapshots, "snapshot is open")
	// Output:
	// 1
	// 1 snapshot is open
}
