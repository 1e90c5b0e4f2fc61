package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// liveStream writes memory to a file while others write to the memory, as a virtual
// machine is moved: everything once, then again what was written meanwhile, which
// the kernel knows, until that does not get less; then the rest with writers held.
type liveStream struct {
	fd      *uffd.FD
	pagemap *uffd.Pagemap
	mem     []byte
	regions []uffd.PageRegion
	rest    []byte // of the last pass
}

const (
	livePiece  = 16 << 20 // protected, then written
	liveScan   = 256 << 20
	liveFew    = 64 // pages for which no other pass is made
	livePasses = 30
)

// newLiveStream takes memory that no guard protects, whole pages.
func newLiveStream(mem []byte) (_ *liveStream, err error) {
	l := &liveStream{mem: mem}
	if l.fd, err = uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureWPAsync); err != nil {
		return nil, err
	}
	if l.pagemap, err = uffd.OpenPagemap(); err == nil {
		err = l.fd.Register(addressOf(mem), uintptr(len(mem)), uffd.ModeWP)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *liveStream) close() error {
	err := l.fd.Close()
	if l.pagemap != nil {
		err = errors.Join(err, l.pagemap.Close())
	}
	return err
}

// write writes the file, and calls hold when writers must not go on, and what it
// returns when they may. It answers how many pages it held in memory at the end.
func (l *liveStream) write(dir string, hold func() (release func())) (pages int64, err error) {
	temp, name := filepath.Join(dir, "new.tmp"), filepath.Join(dir, "saved")
	file, err := os.Create(temp)
	if err != nil {
		return 0, err
	}
	pages, err = l.stream(file, hold)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, err
	}
	return pages, errors.Join(os.Rename(temp, name), syncDir(dir))
}

func (l *liveStream) stream(file *os.File, hold func() (release func())) (pages int64, err error) {
	for at := 0; at < len(l.mem); at += livePiece {
		piece := l.mem[at:min(at+livePiece, len(l.mem))]
		if err := l.fd.Protect(addressOf(piece), uintptr(len(piece))); err != nil {
			return 0, err
		}
		if _, err := file.WriteAt(piece, int64(at)); err != nil {
			return 0, err
		}
	}
	for least, pass := int64(1<<62), 0; pass < livePasses; pass++ {
		n, err := l.scan()
		if err != nil {
			return 0, err
		}
		for _, r := range l.regions {
			if _, err := file.WriteAt(l.at(r)); err != nil {
				return 0, err
			}
		}
		if n <= liveFew || n >= least-least/4 {
			break
		}
		least = n
	}
	// To memory, which is quick.
	release := hold()
	pages, err = l.scan()
	if need := int(pages * pageSize); need > len(l.rest) {
		l.rest = make([]byte, need)
	}
	rest := l.rest
	for _, r := range l.regions {
		page, _ := l.at(r)
		rest = rest[copy(rest, page):]
	}
	release()
	if err != nil {
		return 0, err
	}
	rest = l.rest
	for _, r := range l.regions {
		pages, off := l.at(r)
		if _, err := file.WriteAt(rest[:len(pages)], off); err != nil {
			return 0, err
		}
		rest = rest[len(pages):]
	}
	return pages, nil
}

// scan finds the pages written since the last time.
func (l *liveStream) scan() (pages int64, err error) {
	l.regions = l.regions[:0]
	for at := 0; at < len(l.mem); at += liveScan {
		piece := l.mem[at:min(at+liveScan, len(l.mem))]
		if l.regions, err = l.pagemap.Scan(l.regions, addressOf(piece), uintptr(len(piece)), uffd.ScanProtect); err != nil {
			return 0, err
		}
	}
	for _, r := range l.regions {
		pages += int64((r.End - r.Start) / pageSize)
	}
	return pages, nil
}

// at is the memory of a region, and where it stands in the file.
func (l *liveStream) at(r uffd.PageRegion) (pages []byte, off int64) {
	start := uint64(addressOf(l.mem))
	return l.mem[r.Start-start : r.End-start], int64(r.Start - start)
}

// writeLive writes the state so. Updates that writers do while they should be held are
// counted as lost: the gate of a heap can be closed by nobody else.
func (b *checkpointTaxBench) writeLive() (pages int64, err error) {
	return b.live.write(b.files, func() func() {
		from, done := time.Now(), b.updates()
		return func() { b.heldFor, b.stolen = time.Since(from), b.updates()-done }
	})
}
