package gid

import (
	"runtime"
	"sync"
	"testing"
)

var sources = map[string]func() uintptr{"current": Current, "stack": fromStack}

func TestIdentityStaysTheSameAcrossThreadsAndStackGrowth(t *testing.T) {
	for name, id := range sources {
		t.Run(name, func(t *testing.T) {
			want := id()
			if want == 0 || want&3 != 0 {
				t.Fatalf("identity is %#x: want one that is not 0 and has its two lowest bits clear", want)
			}
			for range 1000 {
				runtime.Gosched()
				if got := id(); got != want {
					t.Fatalf("identity changed from %#x to %#x", want, got)
				}
			}
			var deep func(n int) uintptr
			deep = func(n int) uintptr {
				var room [1 << 10]byte
				if n == 0 {
					return id() + uintptr(room[n])
				}
				return deep(n-1) + uintptr(room[n])
			}
			if got := deep(500); got != want {
				t.Fatalf("identity is %#x on a grown stack, was %#x", got, want)
			}
			runtime.GC()
			if got := id(); got != want {
				t.Fatalf("identity is %#x after a collection, was %#x", got, want)
			}
		})
	}
}

func TestGoroutinesThatLiveTogetherDiffer(t *testing.T) {
	for name, id := range sources {
		t.Run(name, func(t *testing.T) {
			const n = 1000
			var all sync.Map
			var wg, arrived sync.WaitGroup
			arrived.Add(n)
			for range n {
				wg.Go(func() {
					if _, taken := all.LoadOrStore(id(), true); taken {
						t.Errorf("two goroutines have identity %#x", id())
					}
					arrived.Done()
					arrived.Wait() // all of them are alive until the last has looked
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkCurrent(b *testing.B) {
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			Current()
		}
	})
	b.Run("stack", func(b *testing.B) { // where there is no assembly
		for b.Loop() {
			fromStack()
		}
	})
}
