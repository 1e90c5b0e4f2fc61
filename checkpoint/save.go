package checkpoint

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
)

// Save writes a checkpoint of src into the directory, makes it durable, and then
// removes what Keep and KeepFor do not keep. When it returns nil the checkpoint
// survives a crash of the machine.
//
// With opts.Changed it is an incremental one, if the parent is in the store and
// can be used, its size is opts.ParentSize, and the chain does not become longer
// than MaxChain; else a full one. Info.Incremental says which.
//
// The order is: write under a temporary name, sync, close, rename, sync the
// directory, remove. After an error nothing that was there before has changed,
// and the new checkpoint is not there, though it may come back after a crash if
// it was the last sync that failed. A sync is never tried again: the kernel
// reports lost writes once and then forgets them, so what failed to sync is
// thrown away. The error is that of [Write], a [*SpaceError] before anything was
// written if the disk is obviously too full, or a [*WriteError]: fs.ErrExist if
// opts.ID is that of a checkpoint that is there.
func (s *Store) Save(ctx context.Context, src Source, opts WriteOptions) (Info, error) {
	if err := s.take(ctx); err != nil {
		return Info{}, err
	}
	defer s.give()
	if opts.Compression == Uncompressed {
		opts.Compression = s.opts.Compression
	}
	path, c, err := s.place(&opts)
	if err != nil {
		return Info{}, err
	}
	files := []Info{{}} // the new one's, and those it needs
	if opts.Changed != nil {
		parents, err := c.chain(fileName(opts.Parent))
		if err == nil && parents[0].Size == opts.ParentSize && len(parents) < s.opts.MaxChain && opts.Parent != opts.ID {
			files = append(files, parents...)
		} else {
			opts.Changed = nil
		}
	}
	if err := s.room(ctx, path, src, &opts); err != nil {
		return Info{}, err
	}
	info, err := s.writeFile(ctx, path, func(f outFile) (Info, error) { return Write(ctx, f, src, opts) })
	if err != nil {
		return Info{}, err
	}
	return s.saved(path, info, files), nil
}

// take takes the token of saving, and refuses if the store is closed.
func (s *Store) take(ctx context.Context) error {
	select {
	case <-s.saving:
	case <-ctx.Done():
		return &WriteError{Path: s.path, Op: "waiting to write", Err: cancelled(ctx)}
	}
	if err := s.checkOpen(); err != nil {
		s.give()
		return err
	}
	return nil
}

func (s *Store) give() { s.saving <- struct{}{} }

// place is where the checkpoint goes, which gets an ID if it has none.
func (s *Store) place(opts *WriteOptions) (path string, c *catalog, err error) {
	if opts.ID == uuid.Nil {
		if opts.ID, err = s.NewID(); err != nil {
			return "", nil, err
		}
	}
	return s.claim(opts.ID)
}

// claim makes sure that no checkpoint has the ID.
func (s *Store) claim(id uuid.UUID) (path string, c *catalog, err error) {
	path = filepath.Join(s.path, fileName(id))
	if c, err = s.catalog(); err != nil {
		return path, nil, err
	}
	if slices.Contains(c.names, fileName(id)) {
		return path, nil, &WriteError{Path: path, Op: "creating", Err: fs.ErrExist}
	}
	return path, c, nil
}

// saved does what follows the point of no return. files are those that the new
// one needs, with room for itself as the first.
func (s *Store) saved(path string, info Info, files []Info) Info {
	info.Path = path
	info.Chain, info.ChainBytes = 1, info.Bytes
	s.note(filepath.Base(path), card{info: info})
	files[0] = info
	s.lastSaved = filepath.Base(path)
	s.prune(Policy{s.opts.Keep, s.opts.KeepFor}, s.lastSaved) // its error is PruneError
	s.foldInBackground(files)
	return describe(files)
}

// writeFile writes a file under its temporary name and gives it its own, as Save
// promises.
func (s *Store) writeFile(ctx context.Context, path string, write func(f outFile) (Info, error)) (info Info, err error) {
	temp, info, err := s.writeTemp(path, tempSuffix, write)
	if err != nil {
		return Info{}, err
	}
	info.Path = path
	return info, s.publish(temp, path, info)
}

// writeTemp writes a file under its name with another suffix and makes its bytes
// durable. After an error it is not there.
func (s *Store) writeTemp(path, suffix string, write func(f outFile) (Info, error)) (_ string, info Info, err error) {
	temp := path[:len(path)-len(fileSuffix)] + suffix
	var done int64
	failed := func(op string, err error) error {
		return &WriteError{Path: path, Op: op, Offset: done, Err: err}
	}
	f, err := s.fs.Create(temp)
	if errors.Is(err, fs.ErrExist) {
		// A leftover of this very ID: an earlier save whose clean-up failed too.
		if err = s.fs.Remove(temp); err == nil {
			f, err = s.fs.Create(temp)
		}
	}
	if err != nil {
		return "", Info{}, failed("creating", err)
	}
	open := true
	defer func() {
		if err == nil {
			return
		}
		if open {
			f.Close()
		}
		_ = s.fs.Remove(temp) // else the next OpenStore sweeps it
	}()

	if info, err = write(f); err != nil {
		if e, ok := errors.AsType[*WriteError](err); ok && e.Path == "" {
			e.Path = path
		}
		return "", Info{}, err
	}
	done = info.Bytes
	if err := f.Sync(); err != nil {
		return "", Info{}, failed("syncing", err)
	}
	open = false
	if err := f.Close(); err != nil {
		return "", Info{}, failed("closing", err)
	}
	return temp, info, nil
}

// publish gives a temporary file its name, durably.
func (s *Store) publish(temp, path string, info Info) error {
	s.see(info.ID) // not before: what is refused must not decide which IDs come next
	if err := s.fs.Rename(temp, path); err != nil {
		_ = s.fs.Remove(temp)
		return &WriteError{Path: path, Op: "renaming", Offset: info.Bytes, Err: err}
	}
	if err := s.fs.SyncDir(s.path); err != nil {
		err = &WriteError{Path: path, Op: "syncing the directory of", Offset: info.Bytes, Err: err}
		if s.fs.Remove(path) != nil {
			// It has its name but may lose it in a crash: it must not push out
			// an older one.
			s.note(filepath.Base(path), card{info, err})
		}
		return err
	}
	s.synced = true
	return nil
}
