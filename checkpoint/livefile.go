package checkpoint

import (
	"context"
	"fmt"
	"slices"

	"github.com/cowheap/cowheap/internal/block"
)

// The zero pages that a live checkpoint may keep: so few that a snapshot's file, which has
// none, is hardly smaller.
const (
	zeroShare = 32   // one in so many of the pages that are read
	zeroSlack = 1024 // and so many more: 4 MiB
)

// liveFile is a checkpoint of which all that is below a size was written before it is known
// what it is. Every region below it has a block, and each block every page, so that the place of each
// follows from its number; the header's is full of zeros until the end, so that no reader takes
// for a checkpoint what is not one yet.
type liveFile struct {
	f      outFile
	out    output
	info   Info
	header int64                       // its length in bytes
	sums   [][block.RegionPages]uint32 // CRCs of the pages as they stand in the file
	zeros  int64                       // pages that were zero when they were read
}

// newLiveFile writes where the header will be.
func newLiveFile(ctx context.Context, f outFile, size int64, opts *WriteOptions) (*liveFile, error) {
	begin := *opts
	begin.Roots = nil // may lie beyond size: what is checked are those at the end
	info, err := newInfo(size, &begin)
	if err != nil {
		return nil, err
	}
	info.Roots = opts.Roots
	header, err := encodeHeader(&info)
	if err != nil {
		return nil, err
	}
	clear(header)
	l := &liveFile{f: f, out: output{ctx: ctx, w: f}, info: info, header: int64(len(header))}
	l.sums = make([][block.RegionPages]uint32, regionsOf(size))
	return l, l.out.write(header)
}

// readAll writes the blocks of all that can be read, and returns their index entries.
func (l *liveFile) readAll(src Live, progress func(done, total int64)) ([]uint64, error) {
	p := pipeline{out: &l.out, src: struct{ Source }{src}, info: &l.info, tasks: tasks(nil, l.info.Size), keep: true, check: l.note, progress: progress}
	return p.run()
}

// note keeps what it takes to change a block later.
func (l *liveFile) note(f *filled) error {
	h := block.Header(f.buf[:block.HeaderSize])
	sums := &l.sums[h.Region()]
	for i := range sums {
		sums[i] = h.PageCRC(i)
	}
	l.zeros += int64(f.zeros)
	if most := l.info.Size/block.PageSize/zeroShare + zeroSlack; l.zeros > most {
		return notLive("more than %d of its %d pages are zero", most, l.info.Size/block.PageSize)
	}
	return nil
}

// settle returns the header of what the file will be.
func (l *liveFile) settle(s *Settled) ([]byte, error) {
	if s.Size < l.info.Size {
		return nil, fmt.Errorf("live state of %d bytes has settled with %d: must not become smaller", l.info.Size, s.Size)
	}
	l.info.Size, l.info.Time, l.info.Roots = s.Size, stamp(s.Time), slices.Clone(s.Roots)
	if err := checkInfo(&l.info); err != nil {
		return nil, err
	}
	header, err := encodeHeader(&l.info)
	if err == nil && int64(len(header)) != l.header {
		err = notLive("its roots need a header of %d bytes, at the beginning they needed %d", len(header), l.header)
	}
	return header, err
}

// patch puts pages in their places: neighbours with one write, and after those of a region the
// block's header.
func (l *liveFile) patch(pages latePages) error {
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	for region, pages := range pages.regions() {
		at := l.header + region*block.MaxSize
		sums := &l.sums[region]
		for run := range pages.runs() {
			first := int(run[0].number % block.RegionPages)
			for i, p := range run {
				page := buf[i*block.PageSize:][:block.PageSize]
				copy(page, p.data[:])
				sums[first+i] = block.CRC(page)
			}
			if err := l.writeAt(buf[:len(run)*block.PageSize], at+block.HeaderSize+int64(first)*block.PageSize); err != nil {
				return err
			}
		}
		h := block.Header(buf[:block.HeaderSize])
		h.Reset(uint32(region), l.info.ID)
		for i, sum := range sums {
			h.SetPage(i, sum)
		}
		h.Seal()
		if err := l.writeAt(h, at); err != nil {
			return err
		}
	}
	return nil
}

// grow writes the blocks of what could not be read, and completes the index entries.
func (l *liveFile) grow(entries []uint64, pages latePages) ([]uint64, error) {
	p := pipeline{out: &l.out, src: lateSource{pages, l.info.Size}, info: &l.info, tasks: pages.tasks()}
	all, err := p.run()
	if err != nil {
		return nil, err
	}
	copy(all, entries)
	return all, nil
}

// writeAt writes over what was written before.
func (l *liveFile) writeAt(b []byte, off int64) error {
	if err := l.out.cancelled(); err != nil {
		return err
	}
	n, err := l.f.WriteAt(b, off)
	if n, err = took(b, n, err); err != nil {
		return &WriteError{Op: "writing", Offset: off + int64(n), Err: err}
	}
	return nil
}
