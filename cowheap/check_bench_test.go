package cowheap

import (
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// BenchmarkCheck looks at a Map of n numbers and as many texts, and at a tree of them.
func BenchmarkCheck(b *testing.B) {
	const n = 200_000
	h := must[*Heap](b)(New(&Options{MaxSize: 1 << 30, Guard: arena.GuardCopy}))
	defer h.Close()
	type root struct {
		Texts Map[uint64, String]
		Order BTree[uint64, Ref[uint64]]
	}
	must[any](b)(nil, h.Update(func(m *Mem) error {
		p := must[Ref[root]](b)(Root[root](m, "root")).Ptr(m)
		for i := range uint64(n) {
			must[any](b)(nil, p.Texts.Set(m, i, must[String](b)(NewString(m, "sixteen bytes ..."))))
			must[any](b)(nil, p.Order.Set(m, i, must[Ref[uint64]](b)(Alloc[uint64](m))))
		}
		return nil
	}))
	b.ReportAllocs()
	for b.Loop() {
		for err := range h.Check() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/entry")
}
