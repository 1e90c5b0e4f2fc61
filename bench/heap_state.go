package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cowheap/cowheap/cowheap"
)

// heapState is state in a heap that writers change through the gate, as a program
// does: chunks, none of whose pages is zeros.
type heapState struct {
	h      *cowheap.Heap
	chunks []cowheap.Ref[chunk]
}

const pagesPerChunk = mib / pageSize

// newHeapState puts size bytes of chunks into a heap of their own. dir is where
// its checkpoints go; "" for none.
func newHeapState(dir string, size int64, o *cowheap.Options) (*heapState, error) {
	// What is preserved, tables and page tables come on top of the state.
	if err := needMemory(size + size/8); err != nil {
		return nil, err
	}
	s := new(heapState)
	var err error
	if dir == "" {
		s.h, err = cowheap.New(o)
	} else {
		s.h, err = cowheap.Open(dir, o)
	}
	if err != nil {
		return nil, err
	}
	for range size / mib {
		err = s.h.Update(func(m *cowheap.Mem) error {
			ref, err := cowheap.Alloc[chunk](m)
			s.chunks = append(s.chunks, ref)
			return err
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("filling a heap: %w", err), s.close())
		}
	}
	if err := s.settle(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *heapState) close() error { return s.h.Close() }

// pages is how many there are.
func (s *heapState) pages() int { return len(s.chunks) * pagesPerChunk }

// page is a page of the state, valid as long as m.
func (s *heapState) page(m *cowheap.Mem, number uint32) []byte {
	at := number % pagesPerChunk * pageSize
	return s.chunks[number/pagesPerChunk].Ptr(m)[at : at+pageSize]
}

// settle makes every page present and writable without a fault, as in a program
// that has run for a while without a snapshot. No snapshot may be open.
func (s *heapState) settle() error {
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(s.chunks) && errs[w] == nil; i += workers {
				errs[w] = s.h.Update(func(m *cowheap.Mem) error {
					c := s.chunks[i].Ptr(m)
					// In bulk: what snapshots left protected would fault otherwise.
					err := m.PrepareWrite(c[:])
					writePages(c[:], 1)
					return err
				})
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// write writes once to each of the pages.
func (s *heapState) write(pages []uint32) error {
	return s.h.Update(func(m *cowheap.Mem) error {
		for _, p := range pages {
			s.page(m, p)[0]++
		}
		return nil
	})
}

// addresses are where the chunks are, which stays so until the heap is closed.
func (s *heapState) addresses() (all []uintptr, err error) {
	err = s.h.View(func(m *cowheap.Mem) error {
		for _, ref := range s.chunks {
			all = append(all, addressOf(ref.Ptr(m)[:]))
		}
		return nil
	})
	return all, err
}
