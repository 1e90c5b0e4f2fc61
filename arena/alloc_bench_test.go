package arena

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchAllocator commits memory in steps, as an arena does.
func benchAllocator(b *testing.B, limit uint64) *testAllocator {
	ta := unformatted(b, limit)
	ta.step = 4 << 20
	if err := ta.format(); err != nil {
		b.Fatal(err)
	}
	return ta
}

// BenchmarkAllocFree allocates an object and frees it.
func BenchmarkAllocFree(b *testing.B) {
	for _, size := range []uint64{16, 64, 256, 1024, 8192, 32768, 65536, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ta := benchAllocator(b, 1<<30)
			b.ReportAllocs()
			for b.Loop() {
				off, err := ta.alloc(size, 0)
				if err != nil {
					b.Fatal(err)
				}
				if err := ta.free(off); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAllocFreeParallel does so in several goroutines, each with a
// hundred objects that it frees in turn.
func BenchmarkAllocFreeParallel(b *testing.B) {
	ta := benchAllocator(b, 1<<30)
	b.RunParallel(func(pb *testing.PB) {
		var offs [100]uint64
		for i := 0; pb.Next(); i = (i + 1) % len(offs) {
			if offs[i] != 0 {
				if err := ta.free(offs[i]); err != nil {
					panic(err)
				}
			}
			offs[i], _ = ta.alloc(64, 0)
		}
	})
}

// BenchmarkFill allocates without freeing.
func BenchmarkFill(b *testing.B) {
	for _, size := range []uint64{16, 64, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ta := benchAllocator(b, 4<<30)
			n := uint64(0)
			for b.Loop() {
				if n++; n*size > 3<<30 {
					b.StopTimer()
					ta.unmap()
					ta = benchAllocator(b, 4<<30)
					n = 0
					b.StartTimer()
				}
				if _, err := ta.alloc(size, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFragmented frees a random object of a large heap with holes and
// allocates another of random size.
func BenchmarkFragmented(b *testing.B) {
	for _, mix := range sizeMixes {
		b.Run(mix.name, func(b *testing.B) {
			ta := benchAllocator(b, 2*mix.heap)
			r := rand.New(rand.NewPCG(1, 2))
			live := fragmented(b, ta, r, mix.size, mix.heap, 0.2)
			b.ReportAllocs()
			for b.Loop() {
				i := r.IntN(len(live))
				if err := ta.free(live[i]); err != nil {
					b.Fatal(err)
				}
				live[i] = mustAlloc(b, ta, mix.size(r), 0)
			}
		})
	}
}
