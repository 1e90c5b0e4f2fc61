package restore_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

// What a snapshot was written to comes back as an arena.
func ExampleStream() {
	ctx := context.Background()
	a, err := arena.New(arena.Options{MaxSize: 1 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	off, err := a.Alloc(100, 0)
	if err != nil {
		log.Fatal(err)
	}
	a.SetRoot(off)
	s, err := a.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	var file bytes.Buffer
	if _, err := checkpoint.Write(ctx, &file, s, checkpoint.WriteOptions{}); err != nil {
		log.Fatal(err)
	}
	r, err := checkpoint.NewReader(&file)
	if err != nil {
		log.Fatal(err)
	}
	again, _, err := restore.Stream(ctx, r, restore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	fmt.Println(again.Root() == off, again.High() == a.High())
	// Output:
	// true true
}
