package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// MaxChain is the largest number of files that a chain may have.
const MaxChain = 256

// Image is an opened checkpoint, ready to give regions and pages: a full one, or
// a chain, an incremental one with its parents down to a full one. Opening one
// verifies header, index and trailer of each file, 8 bytes for each 2 MiB of the
// arena, and that each is the parent that its child means; every block is
// verified as it is read.
//
// All methods may run concurrently, apart from Close, which must be the last.
// An Image is a [Source].
type Image struct {
	links []*link // newest first; the last one is full
	info  Info
}

var _ Source = (*Image)(nil)

// OpenImage opens the checkpoint in a file. The parents of an incremental one are
// looked for in the same directory, under the names that a [Store] gives. Its
// errors are those of [NewReader], what the system says of a file that cannot be
// opened, a [*ParentError] for a parent, and a [*LimitError] for a chain of more
// than MaxChain files.
func OpenImage(path string) (*Image, error) { return OpenImageMax(path, MaxSize) }

// OpenImageMax is [OpenImage] for files from untrusted hands: it refuses an
// arena of more than maxSize bytes with a [*LimitError] before it takes memory
// for the index, 10 bytes for each 2 MiB and file.
func OpenImageMax(path string, maxSize int64) (*Image, error) {
	l, err := openLink(path, maxSize)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	return openChain(l, func(id uuid.UUID) (*link, error) {
		return openLink(filepath.Join(dir, fileName(id)), maxSize)
	})
}

// Parents finds the parent of an incremental checkpoint: its bytes and how many
// there are. An error that is os.ErrNotExist says that it is not there.
type Parents func(id uuid.UUID) (r io.ReaderAt, size int64, err error)

// NewImage is [OpenImage] for a checkpoint of size bytes that is not in a file
// of its own. parents may be nil if the checkpoint is a full one. The Image does
// not close r, nor what parents returns.
func NewImage(r io.ReaderAt, size int64, parents Parents) (*Image, error) {
	l, err := newLink(r, size, "", MaxSize)
	if err != nil {
		return nil, err
	}
	return openChain(l, func(id uuid.UUID) (*link, error) {
		if parents == nil {
			return nil, os.ErrNotExist
		}
		r, size, err := parents(id)
		if err != nil {
			return nil, err
		}
		return newLink(r, size, "", MaxSize)
	})
}

// openChain adds the parents of l. It closes what it has if it fails.
func openChain(l *link, parent func(id uuid.UUID) (*link, error)) (_ *Image, err error) {
	im := &Image{info: l.header.info}
	im.add(l)
	defer func() {
		if err != nil {
			err = errors.Join(err, im.Close())
		}
	}()
	seen := map[uuid.UUID]bool{l.header.info.ID: true}
	for l.header.info.Incremental {
		child := &l.header.info
		if len(im.links) == MaxChain {
			return nil, &LimitError{Path: im.info.Path, What: "number of files in the chain of parents", Got: MaxChain + 1, Limit: MaxChain}
		}
		fail := func(err error) error {
			if errors.Is(err, os.ErrNotExist) {
				err = ErrNoParent
			}
			return &ParentError{Path: child.Path, ID: child.ID, Parent: child.Parent, Err: err}
		}
		if seen[child.Parent] {
			return nil, fail(corrupt("", hParent, "the chain of parents comes back to where it was"))
		}
		seen[child.Parent] = true
		if l, err = parent(child.Parent); err != nil {
			return nil, fail(err)
		}
		im.add(l)
		info := &l.header.info
		if info.ID != child.Parent {
			return nil, fail(corrupt(info.Path, hID, "this is checkpoint %s", info.ID))
		}
		if info.Size != child.ParentSize {
			return nil, fail(corrupt(info.Path, hSize, "its arena has %d bytes, its child was made for a parent of %d", info.Size, child.ParentSize))
		}
	}
	return im, nil
}

func (im *Image) add(l *link) {
	im.links = append(im.links, l)
	im.info.Chain = len(im.links)
	if len(im.links) > 1 {
		im.info.ChainBytes += l.header.info.Bytes
	}
}

// Info describes the checkpoint. Pages, Blocks and Bytes are those of its own
// file.
func (im *Image) Info() Info { return im.info }

// Files describes each file of the chain, newest first: one, if the checkpoint
// is a full one.
func (im *Image) Files() []Info {
	infos := make([]Info, len(im.links))
	for i, l := range im.links {
		infos[i] = l.header.info
	}
	return infos
}

// Size is the number of bytes of the arena.
func (im *Image) Size() int64 { return im.info.Size }

// Regions is the number of regions of the arena.
func (im *Image) Regions() int { return len(im.links[0].index) }

// BlockOffset is where the block of a region starts in the checkpoint's own file,
// 0 if that has none. Several regions may have the same.
func (im *Image) BlockOffset(region int) int64 { return im.links[0].blockOffset(region) }

// BlockSize is the number of bytes of a region's blocks in all files, 0 if all
// its pages are zero. It may be more than 2 MiB + 4 KiB only if the image is a
// chain, and less than its pages need if they are compressed. Of a block that
// several regions share each has its pages.
func (im *Image) BlockSize(region int) (n int) {
	for _, l := range im.links {
		if l.has(region) {
			n += l.regionSize(region)
		}
	}
	return n
}

// Close closes the files.
func (im *Image) Close() (err error) {
	for _, l := range im.links {
		err = errors.Join(err, l.close())
	}
	return err
}
