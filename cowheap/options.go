package cowheap

import (
	"fmt"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

// Options say how a heap is made or opened. The zero value is good, and nil is
// the zero value.
type Options struct {
	// MaxSize is the address space reserved, in bytes. It costs nothing until
	// used. Default 64 GiB.
	MaxSize int64
	// Guard is how first writes after a snapshot are noticed. Default
	// arena.GuardAuto: the first that works here. One asked for by name that
	// does not work is an error that says why, and the remedy.
	Guard arena.Guard
	// MaxPreserved bounds the memory for old pages that open snapshots need, in
	// bytes, over all of them. When it is used up snapshots are given up, the
	// oldest first: reading one, or rolling back to it, answers ErrOverrun. Writers
	// never wait. Default: as much as is in use, so that one snapshot is never
	// overrun. What forks need of their parent is kept besides.
	MaxPreserved int64
	// Lazy makes Open return before the pages are read: they come in as they are
	// touched, and the rest in the background. A damaged page then crashes the
	// program that touches it, with file and offset named. Default: eager,
	// everything verified before Open returns. The guards userfault and shadow (on
	// amd64) can be lazy, others answer ErrNotSupported; where GuardAuto finds
	// none that can, Open is eager.
	Lazy bool
	// NoPrefetch leaves a lazy restore to the pages that are touched and to
	// Populate. Default: the rest comes in in the background.
	NoPrefetch bool
	// Learn has a lazy Open note which pages are touched in its first five seconds, beside the checkpoint in a
	// file of at most 512 KiB with the ending .touched, and bring in first what was noted the last time, if the
	// state has 64 MiB or more. The first time, when nothing is known, pages come in only as they are touched until that is
	// noted. It pays for programs that ask for nearly the same each time they come up, and not for those whose
	// requests are drawn anew: "bench prefetch". Default off; nothing is learned where NoPrefetch is set.
	Learn bool
	// Keep is how many checkpoints the directory keeps. Default 2: one to
	// restore, one to fall back to. What they are incremental to stays as well.
	Keep int
	// Seed is that of the hash of map keys, for a new heap; a restored one has
	// its own. Game peers and replicas choose one, so that their heaps are the
	// same byte by byte. Default 0: random.
	Seed uint64
	// Track keeps the set of pages written between snapshots, which makes the next
	// snapshot cost what was written since the last one, and checkpoints in the directory
	// incremental. It costs the first write
	// to a page after each snapshot a fault, also while none is open. Default off;
	// see arena.Options. Guard shadow tracks in any case, guard copy cannot. What an eager
	// Open restores is tracked from the start on, for which it is protected once, some 10 ms a
	// GiB, or copied by guard shadow; after a lazy one the first checkpoint is full.
	Track bool
	// MaxChain is in how many files of the directory a state may be: a full checkpoint, and
	// incremental ones that hold only the pages written since the one before. A restore reads
	// all of them. From half of it on, and where the increments are as large as the full one, they
	// are folded into one file in the background. What is mostly new is written in full.
	// Default 16, at most 256; 1 or negative: every checkpoint is full.
	MaxChain int
	// Compression is how checkpoints are compressed. Default: not at all.
	Compression checkpoint.Compression
	// Saving is how Checkpoint comes to what it writes. Default: chosen by measurement.
	Saving Saving
	// Arming and Preserving force what is otherwise chosen by measurement, for
	// tests and measurements; see arena.Options.
	Arming     arena.Arming
	Preserving arena.Preserving
	// HugePages asks for transparent huge pages. Default off; see arena.Options.
	HugePages bool
	// FaultPages is how many pages a first write preserves, a power of two up
	// to 512, for tests and measurements. Default: chosen by measurement.
	FaultPages int
	// Progress is told of long work: bytes done of how many, while a checkpoint
	// is restored or written. Its calls for one piece of work do not overlap.
	// Default: nobody is told.
	Progress func(done, total int64)
}

// orDefault is o, or the zero value for nil.
func orDefault(o *Options) (Options, error) {
	if o == nil {
		return Options{}, nil
	}
	if o.Keep < 0 {
		return Options{}, fmt.Errorf("options: Keep %d is negative", o.Keep)
	}
	if o.Saving < 0 || int(o.Saving) >= len(savingNames) {
		return Options{}, fmt.Errorf("options: there is no Saving %d", o.Saving)
	}
	return *o, nil
}

func (o *Options) arena(hold func() (func(), error)) arena.Options {
	return arena.Options{
		MaxSize:      o.MaxSize,
		Guard:        o.Guard,
		MaxPreserved: o.MaxPreserved,
		Track:        o.Track,
		Arming:       o.Arming,
		Preserving:   o.Preserving,
		HugePages:    o.HugePages,
		FaultPages:   o.FaultPages,
		Hold:         hold,
	}
}

func (o *Options) restore(hold func() (func(), error)) restore.Options {
	return restore.Options{Arena: o.arena(hold), Progress: o.Progress}
}

func (o *Options) dir() checkpoint.StoreOptions {
	return checkpoint.StoreOptions{Keep: o.Keep, MaxChain: o.maxChain(), Compression: o.Compression}
}
