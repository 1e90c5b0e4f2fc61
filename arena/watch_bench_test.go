package arena

import (
	"fmt"
	"testing"
)

// What a Watch adds to a freeze. Each iteration writes to so many single pages of 256 MiB,
// takes a snapshot and closes it; the pause is reported beside.
func BenchmarkWatch(b *testing.B) {
	for _, g := range []Guard{GuardUserfault, GuardShadow} {
		for _, dirty := range []int{0, 100, 1000} {
			for _, watched := range []bool{false, true} {
				b.Run(fmt.Sprintf("%v/%d/watched=%v", g, dirty, watched), func(b *testing.B) {
					a := newArena(b, Options{Guard: g, Track: true, MaxSize: 1 << 30, Arming: ArmWholesale, FaultPages: 1})
					const pages = 1 << 16
					m := alloc(b, a, pages*pageSize)
					for page := range pages {
						m[page*pageSize] = 1
					}
					first := snapshot(b, a)
					if watched {
						w, err := first.Watch()
						if err != nil {
							b.Fatal(err)
						}
						defer w.Close()
					}
					first.Close()
					a.opts.Arming = ArmAuto
					pause := int64(0)
					for b.Loop() {
						for i := range dirty {
							m[i*61*pageSize]++
						}
						s := snapshot(b, a)
						pause += s.Stats().Pause.Nanoseconds()
						s.Close()
					}
					b.ReportMetric(float64(pause)/float64(b.N), "pause-ns")
				})
			}
		}
	}
}
