package main

import (
	"errors"

	"github.com/cowheap/cowheap/arena"
)

// frozenState is state in an arena: one allocation, all of whose pages are there.
type frozenState struct {
	a    *arena.Arena
	off  uint64 // of the allocation
	size uint64 // bytes
}

// newFrozenState puts size bytes into an arena of their own.
func newFrozenState(size int64, o arena.Options) (*frozenState, error) {
	// The allocator keeps its own pages beside the state.
	o.MaxSize = 2*size + 64*mib
	a, err := arena.New(o)
	if err != nil {
		return nil, err
	}
	f := &frozenState{a: a, size: uint64(size)}
	if f.off, err = a.Alloc(f.size, pageSize); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return f, f.settle(1)
}

// bytes is the state.
func (f *frozenState) bytes() []byte { return arenaBytes(f.a, f.off, f.size) }

// blocks is all of the arena that is in use, in whole 2 MiB blocks.
func (f *frozenState) blocks() []byte {
	return arenaBytes(f.a, 0, uint64(size(f.a.High()).blocks()))
}

// settle makes every page present and writable without a fault, as in a program that
// has run for a while without a snapshot. No snapshot may be open.
func (f *frozenState) settle(value byte) error {
	// In bulk, because what earlier snapshots left protected would fault otherwise.
	if err := f.a.PrepareWrite(0, f.a.High()); err != nil {
		return err
	}
	writePages(f.bytes(), value)
	return nil
}

func (f *frozenState) close() error { return f.a.Close() }
