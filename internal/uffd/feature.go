package uffd

import (
	"fmt"
	"math/bits"
	"runtime"
	"strings"
)

// Feature is a set of UFFD_FEATURE_ bits.
type Feature uint64

const (
	FeatureWriteProtect   Feature = 1 << 0 // UFFD_FEATURE_PAGEFAULT_FLAG_WP: protection of anonymous memory
	FeatureEventFork      Feature = 1 << 1
	FeatureEventRemap     Feature = 1 << 2
	FeatureEventRemove    Feature = 1 << 3
	FeatureMissingHugetlb Feature = 1 << 4
	FeatureMissingShmem   Feature = 1 << 5
	FeatureEventUnmap     Feature = 1 << 6
	FeatureSIGBUS         Feature = 1 << 7 // faults are signals to the thread that took them, not messages
	FeatureThreadID       Feature = 1 << 8
	FeatureMinorHugetlb   Feature = 1 << 9
	FeatureMinorShmem     Feature = 1 << 10
	FeatureExactAddress   Feature = 1 << 11
	FeatureWPHugetlbShmem Feature = 1 << 12
	FeatureWPUnpopulated  Feature = 1 << 13 // protection holds for pages never touched, too
	FeaturePoison         Feature = 1 << 14 // UFFDIO_POISON
	FeatureWPAsync        Feature = 1 << 15 // the kernel lifts the protection itself; implies WPUnpopulated
	FeatureMove           Feature = 1 << 16 // UFFDIO_MOVE
	featureEvents                 = FeatureEventFork | FeatureEventRemap | FeatureEventRemove | FeatureEventUnmap
	featureKnown                  = FeatureMove<<1 - 1
)

// featureInfo has the kernel's name of each bit (less UFFD_FEATURE_) and the first kernel that has it.
var featureInfo = [...]struct{ name, since string }{
	{"PAGEFAULT_FLAG_WP", "5.7"},
	{"EVENT_FORK", "4.11"},
	{"EVENT_REMAP", "4.11"},
	{"EVENT_REMOVE", "4.11"},
	{"MISSING_HUGETLBFS", "4.11"},
	{"MISSING_SHMEM", "4.11"},
	{"EVENT_UNMAP", "4.11"},
	{"SIGBUS", "4.14"},
	{"THREAD_ID", "4.14"},
	{"MINOR_HUGETLBFS", "5.13"},
	{"MINOR_SHMEM", "5.14"},
	{"EXACT_ADDRESS", "5.18"},
	{"WP_HUGETLBFS_SHMEM", "5.19"},
	{"WP_UNPOPULATED", "6.4"},
	{"POISON", "6.6"},
	{"WP_ASYNC", "6.7"},
	{"MOVE", "6.8"},
}

// String lists the kernel's names without their UFFD_FEATURE_, lowest bit first: "PAGEFAULT_FLAG_WP|SIGBUS". Bits
// this package does not know follow in hexadecimal. No feature is "0".
func (f Feature) String() string {
	if f == 0 {
		return "0"
	}
	var names []string
	for b := range f.bits() {
		if b >= len(featureInfo) {
			break
		}
		names = append(names, featureInfo[b].name)
	}
	if unknown := f &^ featureKnown; unknown != 0 {
		names = append(names, fmt.Sprintf("%#x", uint64(unknown)))
	}
	return strings.Join(names, "|")
}

// MinKernel is the first kernel version that has all of f, as "6.4"; "" if f is empty or holds a bit that this package
// does not know. Vendors backport: read features, and use this for messages only.
func (f Feature) MinKernel() string {
	if f == 0 || f&^featureKnown != 0 {
		return ""
	}
	const protection = FeatureWriteProtect | FeatureWPHugetlbShmem | FeatureWPUnpopulated | FeatureWPAsync
	if runtime.GOARCH == "arm64" && f&protection != 0 {
		return "6.10" // write protection of any kind came late to this processor
	}
	return featureInfo[bits.Len64(uint64(f))-1].since // the kernel gained the bits in this order
}

// bits yields the numbers of the bits set in f, lowest first.
func (f Feature) bits() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for ; f != 0; f &= f - 1 {
			if !yield(bits.TrailingZeros64(uint64(f))) {
				return
			}
		}
	}
}
