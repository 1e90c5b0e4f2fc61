package main

import (
	"errors"
	"iter"
	"maps"
	"sync"
	"time"

	memdb "github.com/hashicorp/go-memdb"
	tidwall "github.com/tidwall/btree"

	"github.com/cowheap/cowheap/cowheap"
)

func newTaxed(way string) (taxed, error) {
	switch way {
	case wayMap:
		one, err := newOneHeap[cowheap.Map[uint64, uint64]](nil)
		return &taxedHeap[cowheap.Map[uint64, uint64], *cowheap.Map[uint64, uint64]]{oneHeap: one}, err
	case wayBTree:
		one, err := newOneHeap[cowheap.BTree[uint64, uint64]](nil)
		return &taxedHeap[cowheap.BTree[uint64, uint64], *cowheap.BTree[uint64, uint64]]{oneHeap: one}, err
	case wayTidwall:
		return &taxedTidwall{}, nil
	case wayFullCopy:
		return &taxedMap{m: map[uint64]uint64{}}, nil
	}
	return newTaxedMemdb()
}

// heapEntries is what a Map and a BTree both do.
type heapEntries[C any] interface {
	*C
	Get(*cowheap.Mem, uint64) (uint64, bool)
	Set(*cowheap.Mem, uint64, uint64) error
	Delete(*cowheap.Mem, uint64) (uint64, bool)
	All(*cowheap.Mem) iter.Seq2[uint64, *uint64]
}

// taxedHeap is a container in a heap.
type taxedHeap[C any, P heapEntries[C]] struct {
	oneHeap[C]
	mu sync.Mutex // inside Update and View: guards the container
}

func (t *taxedHeap[C, P]) get(k uint64) (v uint64, ok bool) {
	t.view(func(m *cowheap.Mem, c *C) {
		t.mu.Lock()
		defer t.mu.Unlock()
		v, ok = P(c).Get(m, k)
	})
	return v, ok
}

func (t *taxedHeap[C, P]) set(k, v uint64) error {
	return t.update(func(m *cowheap.Mem, c *C) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		return P(c).Set(m, k, v)
	})
}

func (t *taxedHeap[C, P]) delete(k uint64) error {
	return t.update(func(m *cowheap.Mem, c *C) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		P(c).Delete(m, k)
		return nil
	})
}

func (t *taxedHeap[C, P]) snapshot() (n int, err error) {
	s, err := t.h.Snapshot()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fork, err := s.Fork(nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fork.Close()) }()
	sum := uint64(0)
	err = fork.View(func(m *cowheap.Mem) error {
		for _, v := range P(t.root.Ptr(m)).All(m) {
			sum += *v
			n++
		}
		return nil
	})
	return n, err
}

// taxedTidwall is tidwall's map.
type taxedTidwall struct {
	mu sync.Mutex
	t  tidwall.Map[uint64, uint64]
}

func (t *taxedTidwall) get(k uint64) (v uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.Get(k)
}

func (t *taxedTidwall) set(k, v uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Set(k, v)
	return nil
}

func (t *taxedTidwall) delete(k uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t.Delete(k)
	return nil
}

func (t *taxedTidwall) snapshot() (n int, err error) {
	t.mu.Lock()
	frozen := t.t.Copy()
	t.mu.Unlock()
	sum := uint64(0)
	frozen.Scan(func(_, v uint64) bool {
		sum += v
		n++
		return true
	})
	return n, nil
}

// freeze takes a copy and says how long the lock was held for it.
func (t *taxedTidwall) freeze() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	start := time.Now()
	t.t.Copy()
	return time.Since(start)
}

func (t *taxedTidwall) close() error { return nil }

// taxedMap is Go's map.
type taxedMap struct {
	mu sync.Mutex
	m  map[uint64]uint64
}

func (t *taxedMap) get(k uint64) (v uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok = t.m[k]
	return v, ok
}

func (t *taxedMap) set(k, v uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.m[k] = v
	return nil
}

func (t *taxedMap) delete(k uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, k)
	return nil
}

func (t *taxedMap) snapshot() (n int, err error) {
	t.mu.Lock()
	frozen := maps.Clone(t.m)
	t.mu.Unlock()
	sum := uint64(0)
	for _, v := range frozen {
		sum += v
		n++
	}
	return n, nil
}

func (t *taxedMap) close() error { return nil }

// taxedMemdb is a go-memdb. Objects in it do not change.
type taxedMemdb struct{ db *memdb.MemDB }

type memdbEntry struct{ K, V uint64 }

const memdbTable = "entries"

func newTaxedMemdb() (*taxedMemdb, error) {
	db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		memdbTable: {Name: memdbTable, Indexes: map[string]*memdb.IndexSchema{
			"id": {Name: "id", Unique: true, Indexer: &memdb.UintFieldIndex{Field: "K"}},
		}},
	}})
	return &taxedMemdb{db}, err
}

func (t *taxedMemdb) get(k uint64) (v uint64, ok bool) {
	found, err := t.db.Txn(false).First(memdbTable, "id", k)
	if err != nil || found == nil {
		return 0, false
	}
	return found.(*memdbEntry).V, true
}

func (t *taxedMemdb) set(k, v uint64) error {
	txn := t.db.Txn(true)
	defer txn.Abort() // of no effect after Commit
	if err := txn.Insert(memdbTable, &memdbEntry{k, v}); err != nil {
		return err
	}
	txn.Commit()
	return nil
}

// fill sets entries in few transactions, each of which copies a node once.
func (t *taxedMemdb) fill(from, to uint64) error {
	const together = 10_000
	for from < to {
		txn := t.db.Txn(true)
		for last := min(from+together, to); from < last; from++ {
			if err := txn.Insert(memdbTable, &memdbEntry{taxKey(2 * from), from}); err != nil {
				txn.Abort()
				return err
			}
		}
		txn.Commit()
	}
	return nil
}

func (t *taxedMemdb) delete(k uint64) error {
	txn := t.db.Txn(true)
	defer txn.Abort()
	if err := txn.Delete(memdbTable, &memdbEntry{K: k}); err != nil {
		return err
	}
	txn.Commit()
	return nil
}

func (t *taxedMemdb) snapshot() (n int, err error) {
	all, err := t.db.Snapshot().Txn(false).Get(memdbTable, "id")
	if err != nil {
		return 0, err
	}
	sum := uint64(0)
	for e := all.Next(); e != nil; e = all.Next() {
		sum += e.(*memdbEntry).V
		n++
	}
	return n, nil
}

// freeze takes a snapshot, for which nobody is held.
func (t *taxedMemdb) freeze() time.Duration {
	start := time.Now()
	t.db.Snapshot()
	return time.Since(start)
}

func (t *taxedMemdb) close() error { return nil }
