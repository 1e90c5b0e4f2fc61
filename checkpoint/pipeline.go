package checkpoint

import (
	"iter"
	"runtime"
	"sync"

	"github.com/cowheap/cowheap/internal/block"
)

// pipelineDepth is the number of blocks in flight between reading and writing:
// one being filled, one being written, one waiting so that neither side stops
// for the other's hiccup. 6 MiB of buffers in all; compression adds one block
// and a second buffer for each of its workers.
const pipelineDepth = 3

// inFlight leaves a processor to the program whose state it is: with no more than two, reading
// and writing take turns. Else neither was ever free, and Go looks for requests that have
// come in over the network only when one is, or every 10 ms.
func inFlight() int {
	if runtime.GOMAXPROCS(0) <= 2 {
		return 1
	}
	return pipelineDepth
}

// ioBuffer holds a whole block.
type ioBuffer [block.MaxSize]byte

var bufferPool = sync.Pool{New: func() any { return new(ioBuffer) }}

// pipeline brings the blocks of a source to a writer.
type pipeline struct {
	out         *output
	src         Source
	info        *Info // its Blocks and Pages are counted here
	tasks       iter.Seq[task]
	keep        bool                  // pages of zeros, too
	check       func(f *filled) error // of each block before it is written, if not nil
	progress    func(done, total int64)
	compression Compression
	released    int64 // bytes of the source that are not needed any more
}

// filled is one block on its way from the source to the writer.
type filled struct {
	task
	buf        *ioBuffer
	size       int  // bytes of the block, 0 if there is none
	stored     int  // pages in it
	zeros      int  // pages that have become zero; with keep, those that are stored
	keep       bool // pages of zeros, too
	sparse     bool
	compressed bool
	err        error
	ready      chan struct{} // closed when it has been compressed
}

// run writes the blocks and returns the index's entry for each region.
func (p *pipeline) run() (entries []uint64, err error) {
	entries = make([]uint64, regionsOf(p.info.Size))
	workers := 0
	if p.compression != Uncompressed {
		workers = max(runtime.GOMAXPROCS(0)-1, 1)
	}
	depth := inFlight() + workers
	empty := make(chan *ioBuffer, depth)
	for range min(int64(depth), regionsOf(p.info.Size)) {
		empty <- bufferPool.Get().(*ioBuffer)
	}
	full := make(chan *filled, depth)
	squeeze := make(chan *filled, depth)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(full)
		defer close(squeeze)
		for t := range p.tasks {
			select {
			case <-stop:
				return
			case buf := <-empty:
				f := &filled{task: t, buf: buf, keep: p.keep, ready: make(chan struct{})}
				f.fill(p.src, p.info)
				full <- f // never blocks: there are no more buffers than places
				if workers > 0 {
					squeeze <- f
				} else {
					close(f.ready)
				}
				if f.err != nil {
					return
				}
			}
		}
	})
	for range workers {
		running.Go(func() {
			for f := range squeeze {
				f.compress(p.compression)
				close(f.ready)
			}
		})
	}
	// The source must not be read after Write returned.
	defer func() {
		close(stop)
		running.Wait()
		for f := range full {
			bufferPool.Put(f.buf)
		}
		for range len(empty) {
			bufferPool.Put(<-empty)
		}
	}()

	for f := range full {
		<-f.ready
		err := p.write(f, entries)
		empty <- f.buf
		if err != nil {
			return nil, err
		}
	}
	p.done(p.info.Size)
	return entries, p.out.cancelled()
}

// write writes a block, if there is one.
func (p *pipeline) write(f *filled, entries []uint64) error {
	if f.err != nil {
		return f.err
	}
	if p.check != nil {
		if err := p.check(f); err != nil {
			return err
		}
	}
	if f.size == 0 {
		if err := p.out.cancelled(); err != nil {
			return err
		}
	} else {
		f.enter(entries, p.out.done)
		p.info.Blocks++
		p.info.Pages += int64(f.stored)
		if err := p.out.write(f.buf[:f.size]); err != nil {
			return err
		}
	}
	p.done(f.end(p.info.Size))
	return nil
}

// enter puts the block, which stands at offset, into the index.
func (f *filled) enter(entries []uint64, offset int64) {
	flags := uint64(0)
	if f.compressed {
		flags = entryCompressed
	}
	if !f.sparse {
		entries[block.Header(f.buf[:]).Region()] = uint64(offset) | flags
		return
	}
	for part := range block.Sparse(f.buf[:]).Parts() {
		entries[part.Region] = partEntry(offset, part.Len) | flags
	}
}

// done tells that the source's first bytes are not needed any more.
func (p *pipeline) done(end int64) {
	if end == p.released {
		return
	}
	if r, ok := p.src.(Releaser); ok {
		r.Release(p.released, end-p.released)
	}
	p.released = end
	if p.progress != nil {
		p.progress(end, p.info.Size)
	}
}

// compress makes a block smaller, if it can.
func (f *filled) compress(c Compression) {
	if f.err != nil || f.stored == 0 {
		return
	}
	out := bufferPool.Get().(*ioBuffer)
	scratch := scratchPool.Get().(*[]byte)
	defer scratchPool.Put(scratch)
	h := block.Header(out[:block.HeaderSize])
	copy(h, f.buf[:block.HeaderSize])
	h.SetCodec(c.codec())
	pages := f.buf[block.HeaderSize:f.size]
	at := block.HeaderSize
	for i := range h.PieceCount() {
		piece := pages[:min(len(pages), block.PieceSize)]
		pages = pages[len(piece):]
		stored, smaller := c.compress(*scratch, piece)
		if !smaller {
			stored = piece
		}
		f.compressed = f.compressed || smaller
		h.SetPiece(i, stored)
		at += copy(out[at:], stored)
	}
	if !f.compressed {
		bufferPool.Put(out)
		return
	}
	if f.sparse {
		block.Sparse(h).Seal()
	} else {
		h.Seal()
	}
	bufferPool.Put(f.buf)
	f.buf, f.size = out, h.Size()
	clear(out[at:f.size])
}

// scratchPool has room for a piece that does not get smaller.
var scratchPool = sync.Pool{New: func() any {
	b := make([]byte, maxCompressed)
	return &b
}}
