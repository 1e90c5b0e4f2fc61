package arena

import "fmt"

// Options say how an arena is made. The zero value is good.
type Options struct {
	// MaxSize is the address space reserved, in bytes; it costs nothing until
	// used. Default 64 GiB. Rounded up to 2 MiB.
	MaxSize int64
	// Guard is how first writes are noticed. Default GuardAuto.
	Guard Guard
	// MaxPreserved bounds the memory for preserved pages, in bytes, over all
	// open snapshots. Default: as much as is in use when a snapshot is taken, so
	// that one snapshot is never overrun. Guard shadow counts what older snapshots
	// need besides the shadow itself (Stats.ShadowBytes), has a default of at least
	// 64 MiB, and never gives up the newest; what the next snapshot copies comes on
	// top while it is taken. What forks need is kept besides.
	MaxPreserved int64
	// HugePages asks for transparent huge pages. Protecting memory is then much
	// quicker where no snapshot has split them yet, and the first write in each
	// 2 MiB after a snapshot dearer. Default off.
	HugePages bool
	// Hold holds writers off and returns what lets them go on. The last call of it
	// in a snapshot holds them at the instant; there may be others before, for
	// some hundred microseconds each, where protecting ahead needs them. Whoever is
	// held up should get a turn before the next one. An error of it is
	// Snapshot's. Default: the caller sees to it that nobody writes while
	// Snapshot runs.
	Hold func() (release func(), err error)
	// Track keeps the protection up between snapshots, so that the pages written
	// since the last one are known: the next snapshot then needs no pass over the
	// memory. It costs the first write to a page after each snapshot a fault,
	// also while none is open (4 us, 13 where other threads run, by bench fault);
	// it pays where fewer than about 2,000 pages a GiB are written between two
	// snapshots. Default off. Guards userfault and mprotect only.
	Track bool
	// Arming is when the memory is protected: before the instant or at it.
	// Default ArmAuto.
	Arming Arming
	// Preserving is whether the pages of a snapshot that is being streamed are
	// preserved before they are written; writers at full speed are then held for
	// slices of a millisecond while that is done. Default PreserveAuto, which with
	// Track is PreserveOnWrite.
	Preserving Preserving
	// FaultPages is how many pages a first write preserves: a power of two up
	// to 512, for tests and measurements. Default: chosen by measurement.
	FaultPages int

	// populate is for tests: as on kernels before Linux 6.4.
	populate bool
}

const (
	pageSize  = 4096
	blockSize = 2 << 20 // what is protected and committed at a time

	defaultMaxSize = 64 << 30
)

func (o *Options) check() error {
	switch {
	case o.MaxSize < 0:
		return fmt.Errorf("options: MaxSize %d is negative", o.MaxSize)
	case o.MaxPreserved < 0:
		return fmt.Errorf("options: MaxPreserved %d is negative", o.MaxPreserved)
	case o.MaxSize > 1<<42:
		return fmt.Errorf("options: MaxSize %d is more than 4 TiB", o.MaxSize)
	case o.Arming < 0 || int(o.Arming) >= len(armingNames):
		return fmt.Errorf("options: there is no Arming %d", o.Arming)
	case o.Preserving < 0 || int(o.Preserving) >= len(preservingNames):
		return fmt.Errorf("options: there is no Preserving %d", o.Preserving)
	case o.FaultPages < 0 || o.FaultPages > 512 || o.FaultPages&(o.FaultPages-1) != 0:
		return fmt.Errorf("options: FaultPages %d: want a power of two up to 512, or 0", o.FaultPages)
	}
	return nil
}

// maxSize is MaxSize with its default, in whole blocks.
func (o *Options) maxSize() uint64 {
	if o.MaxSize == 0 {
		return defaultMaxSize
	}
	return (uint64(o.MaxSize) + blockSize - 1) &^ (blockSize - 1)
}

func (o *Options) hold() hold {
	if o.Hold != nil {
		return o.Hold
	}
	return func() (func(), error) { return func() {}, nil }
}
