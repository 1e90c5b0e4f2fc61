package main

// The case "pause": how long are writers held while an instant is frozen?
//
// The state is populated memory of the given size, all of it written since the
// last instant, by which nothing is protected any more when the clock starts. /4k is
// made of 4 KiB pages, /thp of transparent huge pages.
//
//   - userfault: Snapshot of an arena; what its Stats call the pause. Nobody
//     writes, so waiting for running updates is not part of it.
//   - userfault/thp-steady: the same with huge pages of which 10,000 random first writes
//     have split some or all, which is how an arena looks after a while (the kernel
//     joins them again only where protection is gone, and not soon).
//   - shadow: the same with that guard. It copies what was written, here everything, before
//     it holds writers, and then what was written meanwhile, here nothing.
//   - mprotect: the same with that guard.
//   - ioctl: one UFFDIO_WRITEPROTECT over a plain region in the same state: what
//     the kernel alone takes for it, on one processor.
//   - pagemap-scan: one PAGEMAP_SCAN over it that finds every page written and protects
//     it again, without a copy: bare shadow.
//   - mprotect-call: one mprotect over it that takes the right to write away: bare mprotect.
//   - fork: a fork of this process, with nothing large in it but a plain region in
//     the same state; the child leaves at once. The time that the call takes in the
//     parent.
//   - copy: a memcpy of the state on one processor, into memory that is there.
//
// Not measured: what writers pay afterwards (see fault), and waiting for writers
// to get to the gate. See pause_loaded.go for the variants /loaded, in which
// somebody writes meanwhile.

const (
	pauseUserfault4K     = "userfault/4k"
	pauseUserfaultTHP    = "userfault/thp"
	pauseUserfaultSteady = "userfault/thp-steady"
	pauseShadow4K        = "shadow/4k"
	pauseMprotect4K      = "mprotect/4k"
	pauseIoctl4K         = "ioctl/4k"
	pauseIoctlTHP        = "ioctl/thp"
	pauseScan4K          = "pagemap-scan/4k"
	pauseMprotectCall4K  = "mprotect-call/4k"
	pauseFork4K          = "fork/4k"
	pauseForkTHP         = "fork/thp"
	pauseCopy4K          = "copy/4k"

	// splittingWrites are made once to an arena of huge pages before it is steady.
	splittingWrites = 10_000
)

func pauseCase() *Case {
	c := &Case{
		Name:  "pause",
		About: "how long writers are held by freezing an instant",
		Size:  1 * gib,
		Quick: 32 * mib,
		Variants: []Variant{
			{pauseUserfault4K, "ns", pauseIoctl4K},
			{pauseUserfaultTHP, "ns", pauseIoctlTHP},
			{pauseUserfaultSteady, "ns", pauseIoctlTHP},
			{pauseShadow4K, "ns", pauseIoctl4K},
			{pauseMprotect4K, "ns", pauseIoctl4K},
			{pauseIoctl4K, "ns", pauseIoctl4K},
			{pauseIoctlTHP, "ns", pauseIoctlTHP},
			{pauseScan4K, "ns", pauseIoctl4K},
			{pauseMprotectCall4K, "ns", pauseIoctl4K},
			{pauseFork4K, "ns", pauseIoctl4K},
			{pauseForkTHP, "ns", pauseIoctlTHP},
			{pauseCopy4K, "ns", pauseIoctl4K},
		},
		Bounds: []Bound{
			{pauseUserfault4K, "<=", 1.2, pauseIoctl4K},
			{pauseUserfault4K, "<", 1, pauseFork4K},
			{pauseUserfaultTHP, "<=", 0.1, pauseForkTHP},
		},
		Open: openPause,
	}
	for _, l := range loadedPauses() {
		c.Variants = append(c.Variants, Variant{l.name(), "ns", loadedPause{wayFork4K, l.size}.name()})
	}
	c.Bounds = append(c.Bounds, loadedBounds()...)
	return c
}
