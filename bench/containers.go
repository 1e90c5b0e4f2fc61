package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The case "containers": what does an operation on a container in a heap cost, beside
// the same on Go's map and on the two B-trees that are used most, in nanoseconds?
//
// There is an entry for each 64 bytes of -size: 1,048,576 by default. Values are a
// uint64. Keys are uint64, or strings of 20 bytes, and come in random order. All is in
// the caches as far as it fits there, and whatever probes has a copy of the
// key, so that no comparison ends with two equal pointers.
//
//   - get, set: of a key that is there. set is an overwrite.
//   - insert, delete: of keys that are not there, an eighth as many; they are taken out
//     again, which is delete, in another order.
//   - fill: all of them into an empty one, which grows. A nanosecond an entry.
//   - all: a loop over all. A nanosecond an entry.
//   - range: a loop that begins at a random key and ends after 100 entries. A
//     nanosecond a loop.
//
// And the ways:
//
//   - map, btree: Map and BTree of package cowheap. A measurement is one Update, or
//     for those that only read one View; update/range and update/all are in an Update,
//     where the loop's body may change the container.
//   - go-map: map[K]uint64.
//   - tidwall: btree.Map of github.com/tidwall/btree: its generic map for ordered keys, which
//     has no locks. Its other trees have them unless they are told not to, and call a function
//     to compare.
//   - google: btree.BTreeG of github.com/google/btree, of degree 32 and with a
//     function to compare, its only way with keys and values.
//
// Under /frozen, a snapshot has just been taken of the heap and nobody has written since: a
// 64th as many operations in random order, most of which meet a page that is written
// for the first time; beside it the same operations with no snapshot open, /thawed.

const (
	wayMap     = "map"
	wayBTree   = "btree"
	wayGoMap   = "go-map"
	wayTidwall = "tidwall"
	wayGoogle  = "google"

	opGet         = "get"
	opSet         = "set"
	opInsert      = "insert"
	opDelete      = "delete"
	opFill        = "fill"
	opAll         = "all"
	opRange       = "range"
	opAllUpdate   = "update/all"
	opRangeUpdate = "update/range"
	opFrozen      = "frozen"
	opThawed      = "thawed"

	// bytesPerEntry of -size make an entry.
	bytesPerEntry = 64
	// freshShare of the entries are put in and taken out.
	freshShare = 8
	// frozenShare of the entries are written under a snapshot.
	frozenShare = 64
	// rangeLength is how many entries a range has.
	rangeLength = 100
)

var (
	hashOps   = []string{opGet, opSet, opInsert, opDelete, opFill, opAll}
	sortedOps = append(hashOps[:len(hashOps):len(hashOps)], opRange)
)

// containerWays are the ways with what each can do, the reference of each kind first.
var containerWays = []struct {
	way, reference string
	ops            []string
}{
	{wayGoMap, wayGoMap, hashOps},
	{wayMap, wayGoMap, append(hashOps[:len(hashOps):len(hashOps)], opAllUpdate, opFrozen, opThawed)},
	{wayTidwall, wayTidwall, sortedOps},
	{wayGoogle, wayTidwall, sortedOps},
	{wayBTree, wayTidwall, append(sortedOps[:len(sortedOps):len(sortedOps)], opAllUpdate, opRangeUpdate, opFrozen, opThawed)},
}

const (
	keysUint64 = "uint64"
	keysString = "string20"
)

// containerVariant is the variant that does op in some way with such keys.
func containerVariant(way, op, keys string) string {
	return way + "/" + op + "/" + keys
}

func containersCase() *Case {
	c := &Case{
		Name:  "containers",
		About: "operations on containers beside Go's map and other B-trees, an operation",
		Size:  64 * mib,
		Quick: minSize,
		Open:  openContainers,
	}
	for _, keys := range []string{keysUint64, keysString} {
		for _, op := range append(sortedOps[:len(sortedOps):len(sortedOps)], opAllUpdate, opRangeUpdate, opThawed, opFrozen) {
			for _, w := range containerWays {
				for _, has := range w.ops {
					if has != op {
						continue
					}
					beside := containerVariant(w.reference, strings.TrimPrefix(op, "update/"), keys)
					if op == opFrozen || op == opThawed {
						beside = containerVariant(w.way, opThawed, keys)
					}
					c.Variants = append(c.Variants, Variant{containerVariant(w.way, op, keys), "ns", beside})
				}
			}
		}
		for _, b := range []struct {
			way, op   string
			factor    float64
			reference string
		}{
			{wayMap, opGet, 1.5, wayGoMap},
			{wayMap, opSet, 2, wayGoMap},
			{wayMap, opInsert, 2, wayGoMap},
			{wayMap, opFill, 2, wayGoMap},
			{wayBTree, opGet, 1.3, wayTidwall},
			{wayBTree, opRange, 1.3, wayTidwall},
			{wayBTree, opRangeUpdate, 1.3, wayTidwall},
		} {
			right := containerVariant(b.reference, strings.TrimPrefix(b.op, "update/"), keys)
			c.Bounds = append(c.Bounds, Bound{containerVariant(b.way, b.op, keys), "<=", b.factor, right})
		}
	}
	return c
}

// container is what is measured, with keys of type K. Loops are in its methods, so that nothing
// stands between an operation and the next. Sums are of values that were read.
type container[K cmp.Ordered] interface {
	get(keys []K) (sum uint64)
	set(keys []K, v uint64) error // puts in what is not there
	delete(keys []K) (were int)
	all() (sum uint64)
	clear() error
}

// sortedContainer has its keys in order, too.
type sortedContainer[K cmp.Ordered] interface {
	container[K]
	ranges(from []K) (sum uint64) // 100 entries from each
}

// heapContainer is in a heap, too.
type heapContainer[K cmp.Ordered] interface {
	allInUpdate() (sum uint64)
	rangesInUpdate(from []K) (sum uint64)
	freeze() (thaw func() error, err error)
	close() error
}

// containersBench has every way filled.
type containersBench struct {
	numbers *containerKeys[uint64]
	texts   *containerKeys[string]
	batch   batch
}

// containerKeys has every way, filled with keys of type K.
type containerKeys[K cmp.Ordered] struct {
	keys  []K // that are there
	probe []K // the same in another order, in other memory
	fresh []K // that are not there
	gone  []K // the same in another order
	ways  map[string]container[K]
}

func openContainers(s Setup) (Bench, error) {
	n := int(s.Size / bytesPerEntry)
	if err := needMemory(20 * s.Size); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(6, 1<<12))
	b := &containersBench{batch: batch{}}
	var err error
	if b.numbers, err = newContainerKeys(n, random.Uint64, func(k uint64) uint64 { return k }); err != nil {
		return nil, err
	}
	text := func() string { return fmt.Sprintf("%020d", random.Uint64()) }
	if b.texts, err = newContainerKeys(n, text, strings.Clone); err != nil {
		return nil, errors.Join(err, b.numbers.close())
	}
	return b, nil
}

func newContainerKeys[K cmp.Ordered](n int, key func() K, clone func(K) K) (c *containerKeys[K], err error) {
	c = &containerKeys[K]{ways: map[string]container[K]{
		wayGoMap:   &goMap[K]{},
		wayTidwall: &tidwallTree[K]{},
		wayGoogle:  newGoogleTree[K](),
	}}
	if c.ways[wayMap], err = newHeapMap[K](); err != nil {
		return nil, err
	}
	if c.ways[wayBTree], err = newHeapTree[K](); err != nil {
		return nil, errors.Join(err, c.close())
	}
	some := func(n int) []K {
		keys := make([]K, n)
		for i := range keys {
			keys[i] = key()
		}
		return keys
	}
	mixed := func(seed uint64, keys []K) []K {
		mix := make([]K, len(keys))
		for i, j := range anotherSample(seed, len(keys), len(keys)) {
			mix[i] = clone(keys[j])
		}
		return mix
	}
	c.keys, c.fresh = some(n), some(n/freshShare)
	c.probe, c.gone = mixed(1, c.keys), mixed(2, c.fresh)
	for way, w := range c.ways {
		if err := errors.Join(w.clear(), w.set(c.keys, 1)); err != nil {
			return nil, errors.Join(fmt.Errorf("filling %s: %w", way, err), c.close())
		}
	}
	return c, nil
}

func (c *containerKeys[K]) close() error {
	var errs []error
	for _, w := range c.ways {
		if h, ok := w.(heapContainer[K]); ok {
			errs = append(errs, h.close())
		}
	}
	return errors.Join(errs...)
}

func (b *containersBench) Close() error {
	return errors.Join(b.numbers.close(), b.texts.close())
}

// collect says that only filling leaves garbage behind, which the next one finds collected.
func (b *containersBench) collect(variant string) bool {
	return strings.Contains(variant, "/"+opFill+"/")
}

func (b *containersBench) Measure(variant string) (Reading, error) {
	way, rest, _ := strings.Cut(variant, "/")
	at := strings.LastIndexByte(rest, '/')
	op, keys := rest[:at], rest[at+1:]
	if keys == keysUint64 {
		return b.numbers.measure(b.batch, way, op, keys)
	}
	return b.texts.measure(b.batch, way, op, keys)
}

// measure measures an operation.
func (c *containerKeys[K]) measure(b batch, way, op, keys string) (Reading, error) {
	w, variant := c.ways[way], containerVariant(way, op, keys)
	if op == opInsert || op == opDelete {
		return b.take(way+"/"+keys, variant, func() (map[string]Reading, error) {
			put, taken, err := c.putAndTake(w)
			return map[string]Reading{
				containerVariant(way, opInsert, keys): {Value: put},
				containerVariant(way, opDelete, keys): {Value: taken},
			}, err
		})
	}
	value, err := c.one(w, op)
	return Reading{Value: value}, err
}

// putAndTake puts new entries in and takes them out.
func (c *containerKeys[K]) putAndTake(w container[K]) (put, taken float64, err error) {
	start := time.Now()
	if err := w.set(c.fresh, 1); err != nil {
		return 0, 0, err
	}
	put = per(time.Since(start), len(c.fresh))
	start = time.Now()
	were := w.delete(c.gone)
	taken = per(time.Since(start), len(c.fresh))
	if were != len(c.fresh) {
		err = fmt.Errorf("%d of %d entries were there", were, len(c.fresh))
	}
	return put, taken, err
}

// one measures an operation by itself.
func (c *containerKeys[K]) one(w container[K], op string) (value float64, err error) {
	n := len(c.keys)
	sum, want := uint64(0), uint64(n)
	some := c.probe[:n/frozenShare]
	thaw := func() error { return nil }
	switch op {
	case opGet, opAll, opRange, opAllUpdate, opRangeUpdate:
		err = w.set(c.keys, 1)
	case opFill:
		err = w.clear()
	case opFrozen:
		thaw, err = w.(heapContainer[K]).freeze()
	}
	if err != nil {
		return 0, err
	}
	start := time.Now()
	switch op {
	case opGet:
		sum = w.get(c.probe)
	case opSet:
		sum, err = want, w.set(c.probe, 2)
	case opFill:
		sum, err = want, w.set(c.keys, 1)
	case opAll:
		sum = w.all()
	case opAllUpdate:
		sum = w.(heapContainer[K]).allInUpdate()
	case opRange:
		some = c.probe[:n/rangeLength]
		n = len(some)
		sum = w.(sortedContainer[K]).ranges(some)
	case opRangeUpdate:
		some = c.probe[:n/rangeLength]
		n = len(some)
		sum = w.(heapContainer[K]).rangesInUpdate(some)
	case opFrozen, opThawed:
		n = len(some)
		sum, err = want, w.set(some, 3)
	}
	took := time.Since(start)
	if op == opRange || op == opRangeUpdate {
		// Those that begin near the end are shorter.
		if most := uint64(n * rangeLength); sum > most || sum < most-2*rangeLength*rangeLength {
			err = fmt.Errorf("%d ranges had %d entries", n, sum)
		}
	} else if sum != want {
		err = fmt.Errorf("%d of %d entries were met", sum, want)
	}
	if err = errors.Join(err, thaw()); err == nil && op == opFrozen {
		err = w.set(c.keys, 1) // pages that nobody wrote are protected still
	}
	return per(took, n), err
}

// per is the time for one of n, in nanoseconds.
func per(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / float64(n) }
