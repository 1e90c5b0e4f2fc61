package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/cowheap/cowheap/checkpoint"
)

// A follower gets files of the leader's store, over any stream: first a full
// checkpoint, then what has changed. It says which parent it lacks.
func ExampleStore_Receive() {
	var stores [2]*checkpoint.Store
	for i := range stores {
		path, err := os.MkdirTemp("", "checkpoints")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(path)
		if stores[i], err = checkpoint.OpenStore(path, checkpoint.StoreOptions{}); err != nil {
			log.Fatal(err)
		}
		defer stores[i].Close()
	}
	leader, follower := stores[0], stores[1]

	full, err := leader.Save(context.Background(), state("hello"), checkpoint.WriteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	delta, err := leader.Save(context.Background(), state("hello again"), checkpoint.WriteOptions{
		Parent: full.ID, ParentSize: full.Size,
		Changed: func(yield func(off, n int64) bool) { yield(3<<20, 4096) },
	})
	if err != nil {
		log.Fatal(err)
	}

	send := func(info checkpoint.Info) error {
		f, err := os.Open(info.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = follower.Receive(context.Background(), f)
		return err
	}
	if missing, ok := errors.AsType[*checkpoint.ParentError](send(delta)); ok {
		fmt.Println("wants the full one:", missing.Parent == full.ID)
	}
	if err := errors.Join(send(full), send(delta)); err != nil {
		log.Fatal(err)
	}
	im, _, err := follower.Latest(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer im.Close()
	p := make([]byte, 11)
	im.ReadAt(p, 3<<20)
	fmt.Printf("%s\n", p)
	// Output:
	// wants the full one: true
	// hello again
}
