package uffd

import (
	"errors"
	"sync"
)

// Probe is one question to this machine.
type Probe struct {
	Name      string       // stable, kebab-case: "wp-unpopulated"
	About     string       // what the feature is for, a few words
	MinKernel string       // first Linux version that has it on this processor
	Have      func() error // nil, a *NotSupportedError, or the reason why it could not be told
}

// Probes has every probe of this package, the ones that others stand on first.
func Probes() []Probe {
	return []Probe{
		{"userfaultfd", "page faults handled by the program, unprivileged", "5.11", HaveUserfaultfd},
		{"device", "/dev/userfaultfd, for containers that refuse the system call", "6.1", HaveDevice},
		{"sigbus", "a fault is a signal to the thread that took it", FeatureSIGBUS.MinKernel(), HaveSIGBUS},
		{"write-protect", "a write to a protected page is a fault", FeatureWriteProtect.MinKernel(), HaveWriteProtect},
		{"wp-unpopulated", "protection of pages never touched", FeatureWPUnpopulated.MinKernel(), HaveWPUnpopulated},
		{"copy", "pages brought in at first touch, already protected", FeatureWriteProtect.MinKernel(), HaveCopy},
		{"wp-async", "the kernel lifts protection itself and keeps record", FeatureWPAsync.MinKernel(), HaveWPAsync},
		{"pagemap-scan", "asking which pages were written", "6.7", HavePagemapScan},
		{"poison", "pages that fail on touch, for tests", FeaturePoison.MinKernel(), HavePoison},
		{"huge-pages", "transparent huge pages that keep their protection when split", "5.7", HaveHugePages},
	}
}

// HaveUserfaultfd tells whether a program may have userfaultfds here at all, from the device or the system call.
func HaveUserfaultfd() error { return userfaultfd.have() }

// HaveDevice tells whether /dev/userfaultfd gives descriptors. Without it faults taken inside system calls cannot be
// resolved, which nothing here needs; where the system call is refused the device is the way in.
func HaveDevice() error { return device.have() }

// HaveSIGBUS tells whether faults can be delivered as signals (FeatureSIGBUS).
func HaveSIGBUS() error { return sigbus.have() }

// HaveWriteProtect tells whether protection of anonymous memory holds: a page is protected, and a write fails until it is
// lifted.
func HaveWriteProtect() error { return writeProtect.have() }

// HaveWPUnpopulated tells whether protection holds for a page that was never touched. A kernel without it answers
// success and protects nothing, so the probe writes.
func HaveWPUnpopulated() error { return wpUnpopulated.have() }

// HaveCopy tells whether UFFDIO_COPY brings a missing page in write-protected.
func HaveCopy() error { return pageCopy.have() }

// HaveWPAsync tells whether the kernel resolves a write to a protected page by itself (FeatureWPAsync).
func HaveWPAsync() error { return wpAsync.have() }

// HavePagemapScan tells whether written pages can be found, and protected again in the same step.
func HavePagemapScan() error { return pagemapScan.have() }

// HavePoison tells whether pages can be poisoned.
func HavePoison() error { return poison.have() }

// HaveHugePages tells whether transparent huge pages are to be had with MADV_HUGEPAGE and keep the protection of every
// other page when one is lifted and when the kernel splits the huge page. Linux 6.12 to 6.17 without commit 9658d698a8a8
// lose it for pages full of zeros, and so lose writes: do not ask for huge pages there. That no huge page could be had at this
// moment is no answer, and the probe is run again when asked again.
func HaveHugePages() error { return hugePages.have() }

// answer runs a probe once and keeps what it said, unless it could not tell.
type answer struct {
	probe func() error

	mu   sync.Mutex
	done bool
	err  error
}

func (a *answer) have() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done {
		a.err = a.probe()
		a.done = a.err == nil || errors.Is(a.err, ErrNotSupported)
	}
	return a.err
}

var (
	userfaultfd   = answer{probe: probeUserfaultfd}
	device        = answer{probe: probeDevice}
	sigbus        = answer{probe: probeSIGBUS}
	writeProtect  = answer{probe: probeWriteProtect}
	wpUnpopulated = answer{probe: probeWPUnpopulated}
	pageCopy      = answer{probe: probeCopy}
	wpAsync       = answer{probe: probeWPAsync}
	pagemapScan   = answer{probe: probePagemapScan}
	poison        = answer{probe: probePoison}
	hugePages     = answer{probe: probeHugePages}
)
