package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// DefaultChain is how many files a checkpoint may be in unless told otherwise.
const DefaultChain = 32

// DefaultKeep is how many checkpoints a directory keeps unless told otherwise:
// one to restore, one to fall back to.
const DefaultKeep = 2

// StoreOptions are what [OpenStore] may be told. The zero value is good.
type StoreOptions struct {
	// Keep is how many of the newest usable checkpoints stay when a new one has
	// been saved. Default: DefaultKeep. While one is saved the disk holds one
	// more. 1 leaves nothing to fall back to.
	// Parents that they need stay as well.
	Keep int

	// KeepFor keeps checkpoints for so long, too, however many they are. Default:
	// none for that reason.
	KeepFor time.Duration

	// MaxChain is how many files a checkpoint may be in, itself and its parents: a
	// save that would make more writes a full one. 1: every checkpoint is a full
	// one. At most the package's MaxChain. Default: DefaultChain. Fold makes chains
	// short again in the background, from half of it on.
	MaxChain int

	// NoFold leaves folding to calls of Fold.
	NoFold bool

	// Compression is that of saves whose WriteOptions name none, and of folding.
	// Default: none.
	Compression Compression

	// MaxSize bounds the arena of a checkpoint that is opened, in bytes: a
	// larger one is refused with a *LimitError. Default: MaxSize of the package.
	MaxSize int64
}

// Store is a directory of checkpoints that belongs to this Store alone while it is
// open. A checkpoint is a file <UUID in 32 hex digits>.cowheap, so that names
// sort as checkpoints were taken; it is under that name only when it is complete
// and durable. Files with other names are left alone.
//
// An incremental checkpoint needs its parents; the store never removes one that
// is needed, and makes a full checkpoint of a chain that has become long, in the
// background, under the name that it has.
//
// All methods may run concurrently. Saves run one after the other.
type Store struct {
	path string
	opts StoreOptions
	fs   filesystem
	lock io.Closer

	saving    chan struct{} // holds a token while nobody saves, receives, prunes or closes
	folding   chan struct{} // the same for folding; taken before saving
	lastSaved string        // name of what was saved last, "" if nothing was; for who has the token of saving
	synced    bool          // the directory was synced since it was opened; for who has the token of saving

	background sync.WaitGroup // folds
	ctx        context.Context
	cancel     context.CancelFunc

	mu       sync.Mutex
	closed   bool
	last     uuid.UUID       // highest ID seen or given out
	cards    map[string]card // by name: what this Store has written, opened or rejected
	pruneErr error
	foldErr  error
	foldNow  bool // a fold in the background has not ended
}

const (
	fileSuffix = ".cowheap"
	tempSuffix = fileSuffix + ".tmp"
	// A fold does not wait for who saves, who may be receiving the same checkpoint again.
	foldSuffix = ".fold" + tempSuffix
)

// OpenStore opens the directory, makes it if it is not there, and removes what a
// crash left half-written. If another process, or another Store of this one, has
// it, the error is a [*LockedError].
func OpenStore(path string, opts StoreOptions) (*Store, error) {
	return openStore(path, opts, osFilesystem{})
}

func openStore(path string, opts StoreOptions, fsys filesystem) (*Store, error) {
	if opts.Keep < 0 || opts.MaxSize < 0 || opts.KeepFor < 0 || opts.MaxChain < 0 || opts.MaxChain > MaxChain {
		return nil, fmt.Errorf("checkpoint store options Keep %d, KeepFor %v, MaxSize %d, MaxChain %d: must not be negative, MaxChain at most %d",
			opts.Keep, opts.KeepFor, opts.MaxSize, opts.MaxChain, MaxChain)
	}
	if err := opts.Compression.check(); err != nil {
		return nil, err
	}
	if opts.MaxChain == 0 {
		opts.MaxChain = DefaultChain
	}
	if opts.Keep == 0 {
		opts.Keep = DefaultKeep
	}
	if opts.MaxSize == 0 {
		opts.MaxSize = MaxSize
	}
	if err := fsys.MakeDir(path); err != nil {
		return nil, wrapDir("making", path, err)
	}
	lock, err := fsys.Lock(path)
	if err != nil {
		return nil, wrapDir("locking", path, err)
	}
	s := &Store{path: path, opts: opts, fs: fsys, lock: lock, saving: make(chan struct{}, 1), folding: make(chan struct{}, 1), cards: map[string]card{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.saving <- struct{}{}
	s.folding <- struct{}{}
	names, err := fsys.Names(path)
	if err != nil {
		return nil, errors.Join(wrapDir("listing", path, err), lock.Close())
	}
	for _, name := range names {
		if id, ok := parseName(name, fileSuffix); ok {
			s.see(id)
		}
		_, saving := parseName(name, tempSuffix)
		_, folding := parseName(name, foldSuffix)
		if saving || folding {
			// What cannot be removed does no harm but take room: not a reason
			// to refuse a restore.
			s.pruneErr = errors.Join(s.pruneErr, fsys.Remove(filepath.Join(path, name)))
		}
	}
	return s, nil
}

// Path is the directory, as it was given to OpenStore.
func (s *Store) Path() string { return s.path }

// FoldError says why the last fold in the background has failed; nil if it has
// not. The chain is as it was; the next save tries again.
func (s *Store) FoldError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.foldErr
}

// PruneError says why what should have been removed is still there: leftovers of
// a crash, checkpoints beyond Keep. It takes room and does no other harm; the
// next save tries again. nil if all is tidy.
func (s *Store) PruneError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pruneErr
}

// NewID returns a UUIDv7 that sorts after that of every checkpoint in the
// directory and after all that were returned before, also when the clock has
// been set back since. Take it at the instant of a snapshot and give it to Save
// in WriteOptions: snapshots then sort as they were taken, in whatever order
// they are saved. It does no input or output.
func (s *Store) NewID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("making a checkpoint ID: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Compare(id[:], s.last[:]) <= 0 {
		// The first 48 bits are milliseconds; version and the random rest stay.
		last := binary.BigEndian.Uint64(s.last[:]) >> 16
		if last+1 >= 1<<48 {
			return uuid.Nil, fmt.Errorf("no ID sorts after checkpoint %s in %s: move that file away", s.last, s.path)
		}
		low := binary.BigEndian.Uint64(id[:]) & 0xffff
		binary.BigEndian.PutUint64(id[:], (last+1)<<16|low)
	}
	s.last = id
	return id, nil
}

// Close waits for a Save that runs, gives up a fold, and gives the directory back: nobody
// writes there any more. It is idempotent.
func (s *Store) Close() error {
	s.mu.Lock()
	s.cancel() // from here on no fold begins
	s.mu.Unlock()
	s.background.Wait()
	<-s.folding
	defer func() { s.folding <- struct{}{} }()
	<-s.saving
	defer func() { s.saving <- struct{}{} }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.lock.Close(); err != nil {
		return wrapDir("unlocking", s.path, err)
	}
	return nil
}

// see makes sure that NewID goes beyond id.
func (s *Store) see(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Compare(id[:], s.last[:]) > 0 {
		s.last = id
	}
}

func (s *Store) checkOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return wrapDir("using", s.path, ErrClosed)
	}
	return nil
}

// names lists the checkpoints, newest first.
func (s *Store) names() ([]string, error) {
	all, err := s.fs.Names(s.path)
	if err != nil {
		return nil, wrapDir("listing", s.path, err)
	}
	names := slices.DeleteFunc(all, func(name string) bool {
		_, ok := parseName(name, fileSuffix)
		return !ok
	})
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// fileName is the name of a checkpoint.
func fileName(id uuid.UUID) string { return hex.EncodeToString(id[:]) + fileSuffix }

// parseName is the ID in a name that this package could have given. Upper case
// is not accepted: it would sort elsewhere.
func parseName(name, suffix string) (id uuid.UUID, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 2*len(id) || strings.ToLower(digits) != digits {
		return uuid.Nil, false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil
}
