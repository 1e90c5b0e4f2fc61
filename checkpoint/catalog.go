package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
)

// catalog is what a Store knows of its files at one moment.
type catalog struct {
	dir   string
	names []string // newest first
	cards map[string]card
}

// card is what is known of a file by itself.
type card struct {
	info Info
	err  error // why it cannot be used
}

// catalog lists the directory and looks into the files that are not known yet.
func (s *Store) catalog() (*catalog, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	c := &catalog{dir: s.path, names: names, cards: make(map[string]card, len(names))}
	for _, name := range names {
		s.mu.Lock()
		known, ok := s.cards[name]
		s.mu.Unlock()
		if !ok {
			if known = s.look(name); errors.Is(known.err, os.ErrNotExist) {
				known.err = corrupt(filepath.Join(s.path, name), 0, "the name is there, the file is not")
			} else if known.err == nil {
				s.note(name, known)
			}
		}
		c.cards[name] = known
	}
	return c, nil
}

// look opens a file by itself.
func (s *Store) look(name string) card {
	l, err := s.openLink(name)
	if err != nil {
		return card{err: err}
	}
	return card{l.header.info, l.close()}
}

// openLink opens a file of the directory by itself. Its name must be its ID: the
// order rests on it.
func (s *Store) openLink(name string) (*link, error) {
	path := filepath.Join(s.path, name)
	l, err := openLink(path, s.opts.MaxSize)
	if err != nil {
		return nil, err
	}
	if id := l.header.info.ID; fileName(id) != name {
		return nil, errors.Join(corrupt(path, hID, "the file has the name of another checkpoint, its ID is %s", id), l.close())
	}
	return l, nil
}

// open opens a checkpoint of the directory with its parents.
func (s *Store) open(name string) (*Image, error) {
	l, err := s.openLink(name)
	if err != nil {
		return nil, err
	}
	return openChain(l, func(id uuid.UUID) (*link, error) { return s.openLink(fileName(id)) })
}

// note records what is known of a file.
func (s *Store) note(name string, known card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cards[name] = known
}

// vouch records that a checkpoint could be opened, and read as far as anyone wanted. That
// does not make its name durable: one in doubt stays what it was.
func (s *Store) vouch(name string, info Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.cards[name]
	if _, doubt := errors.AsType[*WriteError](known.err); ok && (known.err == nil || doubt) {
		return
	}
	s.cards[name] = card{info: info}
}

// judge records that a checkpoint cannot be restored, or that the parent cannot whose bytes
// err is about. A parent that cannot be opened is found each time: it may come back.
func (s *Store) judge(name string, err error) {
	if _, parent := errors.AsType[*ParentError](err); parent {
		return
	}
	name, err = culprit(name, err)
	s.mu.Lock()
	known, ok := s.cards[name]
	s.mu.Unlock()
	if !ok {
		known = s.look(name) // whose child it is matters also then
	}
	if known.err == nil {
		known.err = err
	}
	s.note(name, known)
}

// culprit is the file that an error about the checkpoint name is about: its own, or a
// parent's, whose error then says so without the child.
func culprit(name string, err error) (string, error) {
	path, cause := "", err
	if e, ok := errors.AsType[*ChecksumError](err); ok {
		path, cause = e.Path, e
	} else if e, ok := errors.AsType[*FormatError](err); ok {
		path, cause = e.Path, e
	} else if e, ok := errors.AsType[*ReadError](err); ok {
		path, cause = e.Path, e
	}
	if of := filepath.Base(path); path != "" && of != name {
		return of, cause
	}
	return name, err
}

// unsure reports whether err says nothing of a file but that it cannot be looked at now: too
// many open files, no permission.
func unsure(err error) bool {
	if err == nil || isDamage(err) {
		return false
	}
	_, version := errors.AsType[*VersionError](err)
	_, pages := errors.AsType[*PageSizeError](err)
	_, limit := errors.AsType[*LimitError](err)
	_, doubt := errors.AsType[*WriteError](err)
	return !version && !pages && !limit && !doubt
}

// forget drops what is known of a file.
func (s *Store) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cards, name)
}

// chain is the files that a checkpoint's state is in, newest first, or why it
// cannot be had.
func (c *catalog) chain(name string) (files []Info, err error) {
	for {
		known, ok := c.cards[name]
		if known.err == nil && !ok {
			known.err = ErrNoParent
		}
		if k := len(files); k > 0 {
			child := &files[k-1]
			if known.err == nil && known.info.Size != child.ParentSize {
				known.err = corrupt(known.info.Path, hSize, "its arena has %d bytes, its child was made for a parent of %d", known.info.Size, child.ParentSize)
			}
			if known.err == nil && slices.ContainsFunc(files, func(i Info) bool { return i.ID == known.info.ID }) {
				known.err = corrupt(known.info.Path, hParent, "the chain of parents comes back to where it was")
			}
			if known.err != nil {
				known.err = &ParentError{Path: child.Path, ID: child.ID, Parent: child.Parent, Err: known.err}
			}
		}
		if known.err != nil {
			return nil, known.err
		}
		if len(files) == MaxChain {
			return nil, &LimitError{Path: files[0].Path, What: "number of files in the chain of parents", Got: MaxChain + 1, Limit: MaxChain}
		}
		files = append(files, known.info)
		if !known.info.Incremental {
			return files, nil
		}
		name = fileName(known.info.Parent)
	}
}

// describe is the Info of the first file of a chain, with what the others add.
func describe(files []Info) Info {
	info := files[0]
	info.Chain = len(files)
	for _, f := range files[1:] {
		info.ChainBytes += f.Bytes
	}
	return info
}
