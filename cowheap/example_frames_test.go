package cowheap_test

import (
	"fmt"
	"log"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// A game saves each frame before it simulates it with inputs that it has to guess. When
// the true input of an old frame comes in, it loads that frame and simulates again.
func ExampleFrames() {
	h, err := cowheap.New(&cowheap.Options{
		Seed:  1,               // the same on all peers
		Guard: arena.GuardCopy, // for a state this small; GuardShadow for megabytes
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	simulate := func(input int64) {
		if err := h.Update(func(m *cowheap.Mem) error {
			position, err := cowheap.Root[int64](m, "position")
			if err == nil {
				*position.Ptr(m) += input
			}
			return err
		}); err != nil {
			log.Fatal(err)
		}
	}
	frames, err := cowheap.NewFrames(h, 10)
	if err != nil {
		log.Fatal(err)
	}
	defer frames.Close()

	var sums [4]uint64
	for frame := range 4 {
		if sums[frame], err = frames.Save(frame); err != nil {
			log.Fatal(err)
		}
		simulate(1) // as in the frame before
	}
	// In frame 2 the player went the other way.
	if err := frames.Load(2); err != nil {
		log.Fatal(err)
	}
	simulate(-1)
	sum, err := frames.Save(3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("frame 3 is another:", sum != sums[3])
	simulate(1)
	_ = h.View(func(m *cowheap.Mem) error {
		position, err := cowheap.Root[int64](m, "position")
		fmt.Println(*position.Ptr(m), err)
		return nil
	})
	fmt.Println(frames.Load(7))
	// Output:
	// frame 3 is another: true
	// 2 <nil>
	// no such frame: 7, the ring has 0 1 2 3
}
