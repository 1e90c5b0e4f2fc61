package cowheap_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// Update inside Update would wait for itself as soon as somebody takes a
// snapshot, so it is an error at once.
func ExampleHeap_Update_nested() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.Update(func(m *cowheap.Mem) error {
		return h.Update(func(m *cowheap.Mem) error { return nil })
	})
	fmt.Println(errors.Is(err, cowheap.ErrNested)) // with -tags invariants it names the line of the outer one
	fmt.Println(cowheap.ErrNested)
	// Output:
	// true
	// inside an Update or View of this heap already: finish it first, or pass its Mem on
}

// The collector does not look into a heap, so a Go pointer in it would dangle.
func ExampleAlloc_pointers() {
	type Tag struct{ Text string }
	type Row struct {
		Key  uint64
		Tags [4]Tag
		Next *Row
	}
	update(func(m *cowheap.Mem) error {
		_, err := cowheap.Alloc[Row](m)
		if refused, ok := errors.AsType[*cowheap.TypeError](err); ok {
			for _, f := range refused.Fields {
				fmt.Println(f.Path, "is a", f.Type)
			}
		}
		return nil
	})
	// Output:
	// Row.Tags[].Text is a string
	// Row.Next is a *cowheap_test.Row
}

func ExampleFree_twice() {
	update(func(m *cowheap.Mem) error {
		r, err := cowheap.Alloc[[100]byte](m)
		if err != nil {
			return err
		}
		fmt.Println(cowheap.Free(m, r))
		_, ok := errors.AsType[*arena.FreeError](cowheap.Free(m, r)) // nothing was changed
		fmt.Println(ok)
		return nil
	})
	// Output:
	// <nil>
	// true
}

// The heap remembers the layout of every root. A change to it that is no mere
// use of bytes set aside is spelled out.
func ExampleLayoutError() {
	type V1 struct {
		Count uint32
		_     [4]byte // for later
		Total uint32
	}
	type V2 struct {
		Count uint32
		Max   uint32 // that is fine
		Total uint64 // that is not
	}
	update(func(m *cowheap.Mem) error {
		if _, err := cowheap.Root[V1](m, "statistics"); err != nil {
			return err
		}
		_, err := cowheap.Root[V2](m, "statistics")
		if changed, ok := errors.AsType[*cowheap.LayoutError](err); ok {
			for _, d := range changed.Differences {
				fmt.Printf("%s was %s, is %s\n", d.Path, d.Was, d.Is)
			}
		}
		return nil
	})
	// Output:
	// V2.Total was uint32, is uint64
}

// A View changes nothing: no snapshot waits for it.
func ExampleHeap_View_readOnly() {
	h, err := cowheap.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.View(func(m *cowheap.Mem) error {
		_, err := cowheap.Alloc[uint64](m)
		return err
	})
	fmt.Println(err)
	// Output:
	// a View only reads: use Update to change the heap
}
