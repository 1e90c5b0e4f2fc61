package main

import (
	"cmp"

	google "github.com/google/btree"
	tidwall "github.com/tidwall/btree"
)

// goMap is Go's map.
type goMap[K cmp.Ordered] struct{ m map[K]uint64 }

func (c *goMap[K]) get(keys []K) (sum uint64) {
	for _, k := range keys {
		sum += c.m[k]
	}
	return sum
}

func (c *goMap[K]) set(keys []K, v uint64) error {
	for _, k := range keys {
		c.m[k] = v
	}
	return nil
}

func (c *goMap[K]) delete(keys []K) (were int) {
	before := len(c.m)
	for _, k := range keys {
		delete(c.m, k)
	}
	return before - len(c.m)
}

func (c *goMap[K]) all() (sum uint64) {
	for _, v := range c.m {
		sum += v
	}
	return sum
}

func (c *goMap[K]) clear() error {
	c.m = map[K]uint64{}
	return nil
}

// tidwallTree is tidwall's map for ordered keys.
type tidwallTree[K cmp.Ordered] struct{ t tidwall.Map[K, uint64] }

func (c *tidwallTree[K]) get(keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.t.Get(k)
		sum += v
	}
	return sum
}

func (c *tidwallTree[K]) set(keys []K, v uint64) error {
	for _, k := range keys {
		c.t.Set(k, v)
	}
	return nil
}

func (c *tidwallTree[K]) delete(keys []K) (were int) {
	for _, k := range keys {
		if _, was := c.t.Delete(k); was {
			were++
		}
	}
	return were
}

func (c *tidwallTree[K]) all() (sum uint64) {
	c.t.Scan(func(_ K, v uint64) bool {
		sum += v
		return true
	})
	return sum
}

func (c *tidwallTree[K]) ranges(from []K) (sum uint64) {
	for _, k := range from {
		left := rangeLength
		c.t.Ascend(k, func(_ K, v uint64) bool {
			sum += v
			left--
			return left > 0
		})
	}
	return sum
}

func (c *tidwallTree[K]) clear() error {
	c.t = tidwall.Map[K, uint64]{}
	return nil
}

// googleItem is an entry of google's tree.
type googleItem[K cmp.Ordered] struct {
	k K
	v uint64
}

// googleTree is google's generic tree.
type googleTree[K cmp.Ordered] struct {
	t *google.BTreeG[googleItem[K]]
}

// googleDegree is as many children as a node of tidwall's tree has by default.
const googleDegree = 32

func newGoogleTree[K cmp.Ordered]() *googleTree[K] {
	c := new(googleTree[K])
	c.clear()
	return c
}

func (c *googleTree[K]) get(keys []K) (sum uint64) {
	for _, k := range keys {
		item, _ := c.t.Get(googleItem[K]{k: k})
		sum += item.v
	}
	return sum
}

func (c *googleTree[K]) set(keys []K, v uint64) error {
	for _, k := range keys {
		c.t.ReplaceOrInsert(googleItem[K]{k, v})
	}
	return nil
}

func (c *googleTree[K]) delete(keys []K) (were int) {
	for _, k := range keys {
		if _, was := c.t.Delete(googleItem[K]{k: k}); was {
			were++
		}
	}
	return were
}

func (c *googleTree[K]) all() (sum uint64) {
	c.t.Ascend(func(item googleItem[K]) bool {
		sum += item.v
		return true
	})
	return sum
}

func (c *googleTree[K]) ranges(from []K) (sum uint64) {
	for _, k := range from {
		left := rangeLength
		c.t.AscendGreaterOrEqual(googleItem[K]{k: k}, func(item googleItem[K]) bool {
			sum += item.v
			left--
			return left > 0
		})
	}
	return sum
}

func (c *googleTree[K]) clear() error {
	c.t = google.NewG(googleDegree, func(a, b googleItem[K]) bool { return a.k < b.k })
	return nil
}
