package cowheap_test

import (
	"fmt"

	"github.com/cowheap/cowheap/cowheap"
)

// Get copies, and a container must not be copied: use Ptr.
func ExampleMap_Get_misuse() {
	update(func(m *cowheap.Mem) error {
		defer func() { fmt.Println(recover()) }()
		root, err := cowheap.Root[cowheap.Map[string, cowheap.Vec[int]]](m, "lists")
		if err != nil {
			return err
		}
		root.Ptr(m).Get(m, "primes")
		return nil
	})
	// Output:
	// cowheap: Map.Get of a value with a container in it: containers must not be copied; use Map.Ptr
}

// A container that was copied into a value would have two owners.
func ExampleVec_Append_misuse() {
	type basket struct{ Items cowheap.Vec[uint64] }
	update(func(m *cowheap.Mem) error {
		defer func() { fmt.Println(recover()) }()
		root, err := cowheap.Root[cowheap.Vec[basket]](m, "baskets")
		if err != nil {
			return err
		}
		baskets := root.Ptr(m)
		if err := baskets.Append(m, basket{}); err != nil { // empty: filled where it is
			return err
		}
		first := &baskets.Slice(m)[0]
		if err := first.Items.Append(m, 1, 2, 3); err != nil {
			return err
		}
		return baskets.Append(m, baskets.Slice(m)...) // of *first go vet would complain
	})
	// Output:
	// cowheap: Vec.Append of a value with a container in it that is not empty: containers must not be copied; store a zero value and fill it in the heap
}

// slow is a key whose comparison can be held up, so that two writers are surely there
// at once.
type slow uint64

var begun, goOn = make(chan bool), make(chan bool)

func (a slow) Compare(b slow) int {
	if a == 2 {
		begun <- true
		<-goOn
	}
	return int(a) - int(b)
}

// Two writers at once panic, as in Go's map: take a lock of your own inside Update.
func ExampleBTreeFunc_Set_concurrent() {
	update(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[cowheap.BTreeFunc[slow, bool]](m, "tree")
		if err != nil {
			return err
		}
		tree := root.Ptr(m)
		if err := tree.Set(m, 1, true); err != nil {
			return err
		}
		done := make(chan error)
		go func() { done <- tree.Set(m, 2, true) }()
		<-begun
		func() {
			defer func() { fmt.Println(recover()) }()
			_ = tree.Set(m, 3, true)
		}()
		goOn <- true
		return <-done
	})
	// Output:
	// cowheap: concurrent writes to a BTreeFunc: hold a lock of your own inside Update
}
