package checkpoint

import (
	"io"
	"runtime"
	"sync"

	"github.com/cowheap/cowheap/internal/block"
)

// pipelineDepth is the number of regions in flight between reading and writing:
// one being filled, one being written, one waiting so that neither side stops
// for the other's hiccup. 6 MiB of buffers in all; compression adds one region
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
	changes     *changes
	progress    func(done, total int64)
	compression Compression
	released    int64 // bytes of the source that are not needed any more
}

// filled is one region on its way from the source to the writer.
type filled struct {
	task
	buf        *ioBuffer
	size       int // bytes of the block, 0 if there is none
	stored     int // pages in it
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
		for t := range tasks(p.changes, p.info.Size) {
			select {
			case <-stop:
				return
			case buf := <-empty:
				f := &filled{task: t, buf: buf, ready: make(chan struct{})}
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
	if f.size == 0 {
		if err := p.out.cancelled(); err != nil {
			return err
		}
	} else {
		entries[f.region] = uint64(p.out.done)
		if f.compressed {
			entries[f.region] |= entryCompressed
		}
		p.info.Blocks++
		p.info.Pages += int64(f.stored)
		if err := p.out.write(f.buf[:f.size]); err != nil {
			return err
		}
	}
	p.done(min(p.info.Size, (f.region+1)*block.RegionSize))
	return nil
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

// fillStep is how many bytes are read at a time: so few that they are still in
// the second-level cache when they are checked and summed, so many that the
// calls do not show.
const fillStep = 128 << 10

// fill makes the block.
func (f *filled) fill(src Source, info *Info) {
	h := block.Header(f.buf[:block.HeaderSize])
	h.Reset(uint32(f.region), info.ID)
	zeros := false
	for first, n := range f.pages.Runs() {
		for n > 0 {
			// The step is read to where its first page belongs: no page moves
			// unless a page of zeros stands before it in the same step.
			to := f.buf[block.HeaderSize+f.stored*block.PageSize:]
			step := to[:min(n*block.PageSize, fillStep)]
			start := f.region*block.RegionSize + int64(first)*block.PageSize
			if got, err := src.ReadAt(step, start); got < len(step) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				f.err = &SourceError{Offset: start + int64(got), Err: err}
				return
			}
			kept := 0
			for at := 0; at < len(step); at += block.PageSize {
				page := step[at : at+block.PageSize]
				switch {
				case !block.IsZero(page):
					h.SetPage(first, block.CRC(page))
					if dst := to[kept*block.PageSize:]; &dst[0] != &page[0] {
						copy(dst, page)
					}
					kept++
				case first < f.parent:
					h.SetZero(first)
					zeros = true
				}
				first++
				n--
			}
			f.stored += kept
		}
	}
	if f.stored > 0 || zeros {
		h.Seal()
		f.size = h.Size()
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
	h.Seal()
	bufferPool.Put(f.buf)
	f.buf, f.size = out, h.Size()
	clear(out[at:f.size])
}

// scratchPool has room for a piece that does not get smaller.
var scratchPool = sync.Pool{New: func() any {
	b := make([]byte, maxCompressed)
	return &b
}}
