package arena

import (
	"testing"
	"time"
)

// BenchmarkSettle says how long writers are held by a Live of 1 GiB of which 1,000 pages were written since
// they were read.
func BenchmarkSettle(b *testing.B) {
	size := uint64(1 << 30)
	if testing.Short() {
		size = 32 << 20
	}
	a := newArena(b, Options{Guard: GuardUserfault, MaxSize: int64(2 * size)})
	mem := alloc(b, a, size)
	fillWith(mem, 1)
	buf := make([]byte, 1<<20)
	var held time.Duration
	for b.Loop() {
		l, err := a.Live()
		if err != nil {
			b.Skip(err)
		}
		for off := int64(0); off < l.Size(); off += int64(len(buf)) {
			if _, err := l.ReadAt(buf, off); err != nil {
				b.Fatal(err)
			}
		}
		for i := range 1000 {
			mem[uint64(i)*size/1000]++
		}
		s, err := l.Settle(b.Context(), func() error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		held += s.Pause
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(held.Microseconds())/float64(b.N), "us-held/op")
}
