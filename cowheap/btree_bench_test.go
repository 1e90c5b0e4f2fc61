package cowheap

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// BenchmarkBTree uses a BTree with keys in random order, a sorted slice beside it
// where that can do the same. For Map see BenchmarkMap.
func BenchmarkBTree(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		if testing.Short() && n > 1<<10 {
			continue // it takes long to fill
		}
		numbers, texts := make([]uint64, n), make([]string, n)
		for i := range n {
			numbers[i] = rand.Uint64()
			texts[i] = fmt.Sprintf("%020d", rand.Uint64())
		}
		b.Run(fmt.Sprint("uint64/", n), func(b *testing.B) { benchmarkBTree(b, numbers) })
		b.Run(fmt.Sprint("string/", n), func(b *testing.B) { benchmarkBTree(b, texts) })
	}
}

func benchmarkBTree[K cmp.Ordered](b *testing.B, keys []K) {
	var sum uint64
	n := len(keys)
	mix := make([]K, n) // in another order
	for i, j := range rand.Perm(n) {
		mix[i] = keys[j]
	}
	tree := func(m *Mem) *BTree[K, uint64] {
		t := alloc[BTree[K, uint64]](b, m)
		for _, k := range keys {
			if err := t.Set(m, k, 1); err != nil {
				b.Fatal(err)
			}
		}
		return t
	}
	run := func(name string, op func(m *Mem, t *BTree[K, uint64], i int)) {
		b.Run(name, func(b *testing.B) {
			benchmarkInUpdate(b, func(m *Mem) {
				t := tree(m)
				for i := 0; b.Loop(); i++ {
					op(m, t, i%n)
				}
			})
		})
	}
	run("get", func(m *Mem, t *BTree[K, uint64], i int) {
		v, _ := t.Get(m, mix[i])
		sum += v
	})
	run("set", func(m *Mem, t *BTree[K, uint64], i int) { t.Set(m, mix[i], uint64(i)) })
	run("delete+set", func(m *Mem, t *BTree[K, uint64], i int) {
		t.Delete(m, mix[i])
		t.Set(m, mix[i], uint64(i))
	})
	run("ascend100", func(m *Mem, t *BTree[K, uint64], i int) {
		left := 100
		for _, v := range t.Ascend(m, mix[i]) {
			sum += *v
			if left--; left == 0 {
				break
			}
		}
	})
	sorted := slices.Sorted(slices.Values(keys))
	b.Run("get/slice", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			at, _ := slices.BinarySearch(sorted, mix[i%n])
			sum += uint64(at)
		}
	})
	perEntry := func(name string, op func(m *Mem, t *BTree[K, uint64])) {
		b.Run(name, func(b *testing.B) {
			benchmarkInUpdate(b, func(m *Mem) {
				t := tree(m)
				for b.Loop() {
					op(m, t)
				}
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
		})
	}
	perEntry("all", func(m *Mem, t *BTree[K, uint64]) {
		for _, v := range t.All(m) {
			sum += *v
		}
	})
	perEntry("load", func(m *Mem, t *BTree[K, uint64]) {
		t.Clear(m)
		if err := t.Load(m, func(yield func(K, uint64) bool) {
			for i, k := range sorted {
				if i > 0 && k == sorted[i-1] {
					continue
				}
				if !yield(k, 1) {
					return
				}
			}
		}); err != nil {
			b.Fatal(err)
		}
	})
	if sum == 1 {
		b.Log(sum)
	}
}

func BenchmarkQueue(b *testing.B) {
	benchmarkInUpdate(b, func(m *Mem) {
		q := alloc[Queue[uint64]](b, m)
		for i := range uint64(1000) {
			if err := q.Push(m, i); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			v, _ := q.Pop(m)
			if err := q.Push(m, v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
