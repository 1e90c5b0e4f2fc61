package raft

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/cowheap/cowheap/cowheap"
)

// accounts is state with an invariant: transfers keep the sum.
type accounts struct {
	Sum      int64
	Applied  uint64
	Balances cowheap.Vec[int64]
}

const (
	accountCount = 4096
	opening      = 1000
)

// bank is an FSM whose entries move money between accounts.
type bank struct {
	*Heap

	mu       sync.Mutex
	changed  *sync.Cond // of what follows
	applied  uint64     // index
	restored int
}

func newBank(t testing.TB) *bank {
	t.Helper()
	h, err := New(&cowheap.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{Heap: h}
	b.changed = sync.NewCond(&b.mu)
	t.Cleanup(func() { h.Close() })
	return b
}

func (b *bank) Apply(l *raft.Log) any {
	err := b.UpdateLog(l, func(m *cowheap.Mem) error { return transfer(m, binary.LittleEndian.Uint64(l.Data)) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = l.Index
	b.changed.Broadcast()
	return err
}

func (b *bank) Restore(from io.ReadCloser) error {
	if err := b.Heap.Restore(from); err != nil {
		return err
	}
	at, err := b.Position()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = at.Index
	b.restored++
	b.changed.Broadcast()
	return err
}

// await waits until the entry was applied, or restored.
func (b *bank) await(index uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.applied < index {
		b.changed.Wait()
	}
}

func (b *bank) restores() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.restored
}

// transfer moves some money, as the entry's number says.
func transfer(m *cowheap.Mem, number uint64) error {
	ref, err := cowheap.Root[accounts](m, "accounts")
	if err != nil {
		return err
	}
	a := ref.Ptr(m)
	if a.Balances.Len() == 0 {
		all := make([]int64, accountCount)
		for i := range all {
			all[i] = opening
		}
		if err := a.Balances.Append(m, all...); err != nil {
			return err
		}
		a.Sum = accountCount * opening
	}
	all := a.Balances.Slice(m)
	from, to, amount := number*7919%accountCount, number*104729%accountCount, int64(number%17)
	all[from] -= amount
	all[to] += amount
	a.Applied++
	return nil
}

// check adds everything up, and answers how many entries are in the state. Nobody writes meanwhile.
func (b *bank) check(t testing.TB) (entries uint64) {
	t.Helper()
	err := b.View(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[accounts](m, "accounts")
		if errors.Is(err, cowheap.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		a := ref.Ptr(m)
		sum := int64(0)
		for _, balance := range a.Balances.Slice(m) {
			sum += balance
		}
		if sum != a.Sum {
			t.Errorf("balances add up to %d, not %d", sum, a.Sum)
		}
		entries = a.Applied
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return entries
}

// balances is a copy. Nobody writes meanwhile.
func (b *bank) balances(t testing.TB) (all []int64) {
	t.Helper()
	err := b.View(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[accounts](m, "accounts")
		if err != nil {
			return err
		}
		all = append(all, ref.Ptr(m).Balances.Slice(m)...)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

func command(number uint64) []byte { return binary.LittleEndian.AppendUint64(nil, number) }
