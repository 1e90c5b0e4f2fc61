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
// removes the oldest until Keep usable ones are left. When it returns nil the
// checkpoint survives a crash of the machine.
//
// The order is: write under a temporary name, sync, close, rename, sync the
// directory, remove. After an error nothing that was there before has changed,
// and the new checkpoint is not there, though it may come back after a crash if
// it was the last sync that failed. A sync is never tried again: the kernel
// reports lost writes once and then forgets them, so what failed to sync is
// thrown away. The error is that of [Write] or a [*WriteError]: fs.ErrExist if
// opts.ID is that of a checkpoint that is there.
func (s *Store) Save(ctx context.Context, src Source, opts WriteOptions) (Info, error) {
	select {
	case <-s.saving:
		defer func() { s.saving <- struct{}{} }()
	case <-ctx.Done():
		return Info{}, &WriteError{Path: s.path, Op: "waiting to write", Err: cancelled(ctx)}
	}
	if err := s.checkOpen(); err != nil {
		return Info{}, err
	}
	if err := s.claim(&opts); err != nil {
		return Info{}, err
	}
	name := fileName(opts.ID)
	path := filepath.Join(s.path, name)
	info, err := s.writeFile(ctx, path, src, opts)
	if err != nil {
		return Info{}, err
	}
	info.Path = path
	s.judge(name, true)
	s.prune(name)
	return info, nil
}

// claim completes the ID and makes sure that no checkpoint has it.
func (s *Store) claim(opts *WriteOptions) (err error) {
	if opts.ID == uuid.Nil {
		opts.ID, err = s.NewID()
		return err
	}
	s.see(opts.ID)
	names, err := s.names()
	if err == nil && slices.Contains(names, fileName(opts.ID)) {
		err = &WriteError{Path: filepath.Join(s.path, fileName(opts.ID)), Op: "creating", Err: fs.ErrExist}
	}
	return err
}

// writeFile does what Save promises up to the point of no return.
func (s *Store) writeFile(ctx context.Context, path string, src Source, opts WriteOptions) (info Info, err error) {
	temp := path[:len(path)-len(fileSuffix)] + tempSuffix
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
		return Info{}, failed("creating", err)
	}
	leftover := temp
	open := true
	defer func() {
		if err == nil {
			return
		}
		if open {
			f.Close()
		}
		if s.fs.Remove(leftover) != nil {
			// The next OpenStore sweeps a temporary file. One that has its name
			// but may lose it in a crash must not push out an older one.
			s.judge(filepath.Base(leftover), false)
		}
	}()

	if info, err = Write(ctx, f, src, opts); err != nil {
		if e, ok := errors.AsType[*WriteError](err); ok && e.Path == "" {
			e.Path = path
		}
		return Info{}, err
	}
	done = info.Bytes
	if err := f.Sync(); err != nil {
		return Info{}, failed("syncing", err)
	}
	open = false
	if err := f.Close(); err != nil {
		return Info{}, failed("closing", err)
	}
	if err := s.fs.Rename(temp, path); err != nil {
		return Info{}, failed("renaming", err)
	}
	leftover = path
	if err := s.fs.SyncDir(s.path); err != nil {
		return Info{}, failed("syncing the directory of", err)
	}
	return info, nil
}

// prune removes what is older than the Keep newest usable checkpoints, oldest
// first. A damaged one does not count, so that it never pushes out a good one;
// it is removed when it is old enough. The one just saved stays in any case.
func (s *Store) prune(saved string) {
	names, err := s.names()
	if err == nil {
		kept := 0
		for i, name := range names {
			if kept == s.opts.Keep {
				err = s.remove(names[i:], saved)
				break
			}
			if s.isUsable(name) {
				kept++
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruneErr = err
}

// remove deletes the named checkpoints, from the last to the first.
func (s *Store) remove(names []string, except string) (err error) {
	for i := len(names) - 1; i >= 0; i-- {
		if names[i] == except {
			continue
		}
		if e := s.fs.Remove(filepath.Join(s.path, names[i])); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			continue
		}
		s.mu.Lock()
		delete(s.usable, names[i])
		s.mu.Unlock()
	}
	return err
}

// judge records whether a checkpoint can be restored.
func (s *Store) judge(name string, usable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usable[name] = usable
}

// isUsable says what is known of a checkpoint, and looks at it if nothing is.
func (s *Store) isUsable(name string) bool {
	s.mu.Lock()
	usable, known := s.usable[name]
	s.mu.Unlock()
	if known {
		return usable
	}
	im, err := s.open(name)
	if err != nil {
		return false
	}
	im.Close()
	s.judge(name, true)
	return true
}
