package arena

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// BenchmarkCacheSet frees at random and allocates, in 100,000 objects, by one cache and
// by one for each processor.
func BenchmarkCacheSet(b *testing.B) {
	for _, size := range []uint64{16, 64, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ta := benchAllocator(b, 1<<30)
			var number atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				n := int(number.Add(1))
				c := ta.lease(n - 1)
				defer c.Release()
				r := rand.New(rand.NewPCG(1, uint64(n)))
				offs := make([]uint64, 50_000)
				for i := range offs {
					offs[i], _ = c.alloc(size, 0)
				}
				for pb.Next() {
					i := r.IntN(len(offs))
					if err := c.free(offs[i]); err != nil {
						panic(err)
					}
					offs[i], _ = c.alloc(size, 0)
				}
			})
		})
	}
}
