package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// Fold writes the state of im, which may be a chain, to w as a full checkpoint
// with the same ID, time, roots and parent (then a remark), so that it can take
// the place of the incremental one: children of either are children of both. Of
// opts it takes Compression and Progress. It needs some megabytes, however large
// the state is; errors are those of [Write], a [*SourceError] with those of
// [Image.ReadBlock].
func Fold(ctx context.Context, w io.Writer, im *Image, opts WriteOptions) (Info, error) {
	info := im.Info()
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	return Write(ctx, w, &regionSource{im: im, buf: buf}, WriteOptions{
		ID: info.ID, Parent: info.Parent, Time: info.Time, Roots: info.Roots,
		Compression: opts.Compression, Progress: opts.Progress,
	})
}

// regionSource is an Image that is read region by region, from one end to the
// other: ReadAt of the Image would read blocks' headers again each time.
type regionSource struct {
	im  *Image
	buf *ioBuffer
	at  Block // that is in buf
	has bool
}

func (s *regionSource) Size() int64 { return s.im.Size() }

// ReadAt reads whole pages of one region.
func (s *regionSource) ReadAt(p []byte, off int64) (n int, err error) {
	region := int(off / block.RegionSize)
	if !s.has || s.at.Region != region {
		s.has = false
		if s.at, err = s.im.ReadBlock(region, s.buf[:]); err != nil {
			return 0, err
		}
		s.has = true
	}
	clear(p)
	if s.at.Header == nil {
		return len(p), nil
	}
	first := int(off % block.RegionSize / block.PageSize)
	rank := s.at.Header.Rank(first)
	for i := range len(p) / block.PageSize {
		if s.at.Header.Stored(first + i) {
			copy(p[i*block.PageSize:][:block.PageSize], s.at.Pages[rank*block.PageSize:])
			rank++
		}
	}
	return len(p), nil
}

// Fold makes the checkpoint with this ID a full one, if it is not: its state is
// written to a new file, which then takes the place of the old one under its
// name. Its children stay what they are. Parents that nobody needs any more are
// then removed. At every instant, also of a crash, the checkpoint is there.
//
// Saves go on meanwhile, Close ends it. Errors: ErrNotFound, ErrClosed, those of the
// package's Fold, [*SpaceError], [*WriteError]; nothing has changed then.
func (s *Store) Fold(ctx context.Context, id uuid.UUID) (Info, error) {
	if err := s.checkOpen(); err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	select {
	case <-s.folding:
		defer func() { s.folding <- struct{}{} }()
	case <-ctx.Done():
		return Info{}, &WriteError{Path: s.path, Op: "waiting to fold", Err: cancelled(ctx)}
	}
	im, err := s.Open(id)
	if err != nil {
		return Info{}, err
	}
	info, err := s.fold(ctx, im)
	if err != nil {
		if isDamage(err) {
			s.judge(fileName(id), err)
		}
		return Info{}, fmt.Errorf("folding checkpoint %s: %w", id, err)
	}
	return info, nil
}

// fold closes im before it replaces its file, which some systems refuse else.
func (s *Store) fold(ctx context.Context, im *Image) (Info, error) {
	info := im.Info()
	if !info.Incremental {
		return info, im.Close()
	}
	name := fileName(info.ID)
	path := filepath.Join(s.path, name)
	files := im.Files()
	if free, err := s.fs.Free(s.path); err == nil && s.opts.Compression == Uncompressed {
		// Hardly less than the full one that it comes from, unless pages were freed.
		if need := files[len(files)-1].Bytes / 2; need > free {
			return Info{}, errors.Join(&SpaceError{Path: path, Need: need, Free: free}, im.Close())
		}
	}
	temp, folded, err := s.writeTemp(path, foldSuffix, func(f outFile) (Info, error) {
		return Fold(ctx, f, im, WriteOptions{Compression: s.opts.Compression})
	})
	closeErr := im.Close()
	if err != nil {
		return Info{}, errors.Join(err, closeErr)
	}
	if err = closeErr; err == nil {
		err = s.take(ctx)
	}
	if err != nil {
		return Info{}, errors.Join(err, s.fs.Remove(temp))
	}
	defer s.give()
	// It may have been pruned meanwhile, and must not come back.
	names, err := s.names()
	if err == nil && !slices.Contains(names, name) {
		err = ErrNotFound
	}
	if err != nil {
		return Info{}, errors.Join(err, s.fs.Remove(temp))
	}
	if err := s.replace(temp, path, files[0], folded.Bytes); err != nil {
		return Info{}, err
	}
	folded.Path = path
	folded.Chain, folded.ChainBytes = 1, folded.Bytes
	s.note(name, card{info: folded})
	// Also what was saved last, of whatever age: its Save has returned a moment ago.
	_, _ = s.prune(Policy{s.opts.Keep, s.opts.KeepFor}, name, s.lastSaved) // its error is PruneError
	return folded, nil
}

// replace is publish over a file that is there, of which old is known. After an error in
// its last step either of the two may have the name after a crash, and the parents that the
// old one needs are there.
func (s *Store) replace(temp, path string, old Info, done int64) error {
	if err := s.fs.Rename(temp, path); err != nil {
		return &WriteError{Path: path, Op: "renaming", Offset: done, Err: errors.Join(err, s.fs.Remove(temp))}
	}
	if err := s.fs.SyncDir(s.path); err != nil {
		// It is full now, and after a crash it may be what it was: what is known
		// of it is what it was, so that its parents stay.
		s.note(filepath.Base(path), card{info: old})
		return &WriteError{Path: path, Op: "syncing the directory of", Offset: done, Err: err}
	}
	s.synced = true
	return nil
}

// foldInBackground folds the newest of files, a chain, if that has become long:
// half of MaxChain, or increments that are together as large as the full one.
func (s *Store) foldInBackground(files []Info) {
	increments := int64(0)
	for _, f := range files[:len(files)-1] {
		increments += f.Bytes
	}
	if s.opts.NoFold || len(files) == 1 || 2*len(files) < s.opts.MaxChain && increments < files[len(files)-1].Bytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.foldNow || s.closed || s.ctx.Err() != nil {
		return
	}
	s.foldNow = true
	s.background.Go(func() {
		_, err := s.Fold(s.ctx, files[0].ID)
		if errors.Is(err, ErrNotFound) || s.ctx.Err() != nil {
			err = nil // it is not needed any more
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.foldErr, s.foldNow = err, false
	})
}
