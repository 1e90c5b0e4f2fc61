//go:build linux

package arena

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cowheap/cowheap/internal/vm"
)

// frameSizes are those of states of games, and of one that is large.
var frameSizes = []struct {
	size  uint64
	share float64 // of the pages that a frame writes
}{{1 << 20, 1}, {64 << 20, 0.001}, {64 << 20, 0.01}, {64 << 20, 0.1}, {64 << 20, 0.5}, {1 << 30, 0.001}}

const benchRing = 10

// BenchmarkFrames saves a frame, its writes included, goes back by some, and, for
// comparison, copies all of the state into the next of a ring of buffers.
func BenchmarkFrames(b *testing.B) {
	if err := probeShadow(); err != nil {
		b.Skip(err)
	}
	for _, f := range frameSizes {
		if testing.Short() && f.size > 64<<20 {
			continue
		}
		name := fmt.Sprintf("%dMiB/%g", f.size>>20, f.share)
		b.Run("memcpy/"+name, func(b *testing.B) {
			src, err := vm.Map(f.size)
			if err != nil {
				b.Fatal(err)
			}
			defer src.Unmap()
			dst, err := vm.Map(min(benchRing*f.size, max(f.size, 1<<30)) / f.size * f.size)
			if err != nil {
				b.Fatal(err)
			}
			defer dst.Unmap()
			fill(src.Bytes(0, f.size), 1)
			fill(dst.Bytes(0, dst.Size()), 1)
			for at := uint64(0); b.Loop(); at = (at + f.size) % dst.Size() {
				copy(dst.Bytes(at, f.size), src.Bytes(0, f.size))
			}
		})
		b.Run("save/"+name, func(b *testing.B) {
			r := newRing(b, f.size, f.share)
			passes, pause, n := 0, time.Duration(0), 0
			for b.Loop() {
				r.save(b)
				s := r.open[len(r.open)-1].Stats()
				passes, pause, n = passes+s.Passes, pause+s.Pause, n+1
			}
			b.ReportMetric(float64(passes)/float64(n), "passes")
			b.ReportMetric(float64(pause.Nanoseconds())/float64(n), "ns-pause")
		})
		for _, frames := range []int{1, 8} {
			b.Run(fmt.Sprintf("load%d/%s", frames, name), func(b *testing.B) {
				r := newRing(b, f.size, f.share)
				for b.Loop() {
					b.StopTimer()
					for range frames {
						r.save(b)
					}
					r.write()
					b.StartTimer()
					if err := r.a.Rollback(r.open[len(r.open)-frames], r.a.opts.hold()); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					r.open = r.open[:len(r.open)-frames+1]
					b.StartTimer()
				}
			})
		}
	}
}

// ring is a state of which the last snapshots are kept.
type ring struct {
	a     *Arena
	mem   []byte
	pages []int
	share float64
	rng   *rand.Rand
	open  []*Snapshot
}

func newRing(b testing.TB, size uint64, share float64) *ring {
	a := newArena(b, Options{Guard: GuardShadow, MaxSize: 2 << 30, MaxPreserved: 4 << 30})
	r := &ring{a: a, mem: alloc(b, a, size-size/64), share: share, rng: rand.New(rand.NewPCG(1, 2))}
	for i := 0; i < len(r.mem); i += pageSize {
		r.mem[i] = 1
	}
	r.pages = r.rng.Perm(len(r.mem) / pageSize)
	for range 3 * benchRing { // warm
		r.save(b)
	}
	return r
}

// write writes to the share of the pages, one byte each, others each time.
func (r *ring) write() {
	n := max(int(float64(len(r.pages))*r.share), 1)
	from := r.rng.IntN(len(r.pages))
	for i := range n {
		r.mem[r.pages[(from+i)%len(r.pages)]*pageSize+i%pageSize]++
	}
}

func (r *ring) save(b testing.TB) {
	r.write()
	r.open = append(r.open, snapshot(b, r.a))
	if len(r.open) > benchRing {
		if err := r.open[0].Close(); err != nil {
			b.Fatal(err)
		}
		r.open = r.open[1:]
	}
}
