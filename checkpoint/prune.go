package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Policy says which checkpoints stay: those that any of its fields asks for, and
// the parents that they need. The zero value keeps none.
type Policy struct {
	Keep int           // the newest usable ones
	For  time.Duration // those that were written less than this ago
}

// Prune removes the checkpoints that policy does not keep, and says which. One
// that is damaged, or whose parents are, does not count, so that it never pushes
// out a good one; it goes when it is older than all that are kept by Keep. A
// chain is never broken: a parent goes after all its children.
//
// What cannot be removed does no harm but take room; the error says so. Nothing is removed
// while there is a file that cannot be looked at, but for damage: it may need any other. After
// a crash of the machine one that was to go may be there without its parents; it goes with the next.
func (s *Store) Prune(policy Policy) (removed []uuid.UUID, err error) {
	<-s.saving
	defer func() { s.saving <- struct{}{} }()
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	return s.prune(policy)
}

// prune is called with the token. The checkpoints with these names stay.
func (s *Store) prune(policy Policy, stay ...string) (removed []uuid.UUID, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pruneErr = err
	}()
	c, err := s.catalog()
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	for _, name := range stay {
		keep[name] = true
	}
	for _, name := range c.names {
		if err := c.cards[name].err; unsure(err) {
			return nil, fmt.Errorf("nothing was removed, because what %s needs is not known: %w", name, err)
		}
	}
	kept := 0
	since := time.Now().Add(-policy.For)
	for _, name := range c.names {
		files, err := c.chain(name)
		young := policy.For > 0 && c.cards[name].info.Time.After(since)
		if kept < policy.Keep || young || slices.Contains(stay, name) {
			keep[name] = true
			for _, f := range files {
				keep[fileName(f.ID)] = true
			}
		}
		if err == nil {
			kept++
		}
	}
	return s.remove(c, keep)
}

// remove deletes what is not to be kept: the oldest first, but children before
// their parents. A parent whose child cannot be removed stays, too. What stays has
// its name durably before anything is removed: a process that was killed may have given one
// and not synced it.
func (s *Store) remove(c *catalog, keep map[string]bool) (removed []uuid.UUID, err error) {
	if !s.synced && slices.ContainsFunc(c.names, func(name string) bool { return !keep[name] }) {
		if err := s.fs.SyncDir(s.path); err != nil {
			return nil, fmt.Errorf("nothing was removed, because syncing the directory failed: %w", err)
		}
		s.synced = true
	}
	children := map[string][]string{}
	for _, name := range slices.Backward(c.names) {
		if info := c.cards[name].info; info.Incremental {
			parent := fileName(info.Parent)
			children[parent] = append(children[parent], name)
		}
	}
	gone := map[string]bool{} // of those that have been tried
	var try func(name string) bool
	try = func(name string) bool {
		if keep[name] {
			return false
		}
		if is, tried := gone[name]; tried {
			return is
		}
		gone[name] = true // a loop of parents must come to an end
		for _, child := range children[name] {
			gone[name] = try(child) && gone[name]
		}
		if !gone[name] {
			return false
		}
		if e := s.fs.Remove(filepath.Join(s.path, name)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			gone[name] = false
			return false
		}
		s.forget(name)
		if id, ok := parseName(name, fileSuffix); ok {
			removed = append(removed, id)
		}
		return true
	}
	for _, name := range slices.Backward(c.names) {
		try(name)
	}
	return removed, err
}
