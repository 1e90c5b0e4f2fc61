package arena_test

import (
	"fmt"
	"log"
	"unsafe"

	"github.com/cowheap/cowheap/arena"
)

// An Arena is memory by offset; package cowheap puts types on top of it.
func Example() {
	a, err := arena.New(arena.Options{MaxSize: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	off, err := a.Alloc(16, 8)
	if err != nil {
		log.Fatal(err)
	}
	word := (*uint64)(unsafe.Add(a.Base(), off))
	*word = 1
	s, err := a.Snapshot() // nobody writes meanwhile: there is one goroutine
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	*word = 2
	var b [8]byte
	if _, err := s.ReadAt(b[:], int64(off)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b[0], *word)
	// Output:
	// 1 2
}

// What was freed already is not freed again, and nothing changes.
func ExampleFreeError() {
	a, err := arena.New(arena.Options{MaxSize: 1 << 20, Guard: arena.GuardCopy})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	off, err := a.Alloc(100, 0)
	if err != nil {
		log.Fatal(err)
	}
	start, size, err := a.Holding(off + 50)
	fmt.Println(start == off, size, err)
	fmt.Println(a.Free(off))
	fmt.Println(a.Free(off) != nil)
	for err := range a.Check() {
		fmt.Println(err)
	}
	// Output:
	// true 112 <nil>
	// <nil>
	// true
}
