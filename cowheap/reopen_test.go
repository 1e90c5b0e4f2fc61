package cowheap

import (
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// A program that is being started has the descriptors of this one for a moment,
// and with them what is locked. That must not keep a directory locked that was
// closed.
func TestReopenWhileProgramsStart(t *testing.T) {
	program, err := exec.LookPath("true")
	if err != nil {
		t.Skip(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				if err := exec.Command(program).Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	dir := memoryDir(t)
	for i := range 1000 {
		h, err := Open(dir, &Options{MaxSize: 16 << 20})
		if err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
		closing(t, h)
	}
}
