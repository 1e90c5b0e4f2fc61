package uffd

// This file is the kernel's binary interface: numbers and structs of linux/userfaultfd.h and linux/fs.h, which
// golang.org/x/sys does not have. Every number below is checked by TestIoctlNumbers against its derivation from
// direction, type, number and size, every struct by TestLayouts. The direction bits are those of asm-generic/ioctl.h
// (all processors but mips, powerpc and sparc, where the kernel answers ENOTTY or EINVAL and the probes say no).

// Ioctl requests. Untyped, so that a signal handler can hand them to a raw syscall without a conversion.
const (
	IoctlNew = 0x0000aa00 // USERFAULTFD_IOC_NEW, on /dev/userfaultfd; the argument is the flags

	IoctlAPI          = 0xc018aa3f // UFFDIO_API
	IoctlRegister     = 0xc020aa00 // UFFDIO_REGISTER
	IoctlUnregister   = 0x8010aa01 // UFFDIO_UNREGISTER
	IoctlWake         = 0x8010aa02 // UFFDIO_WAKE
	IoctlCopy         = 0xc028aa03 // UFFDIO_COPY
	IoctlWriteProtect = 0xc018aa06 // UFFDIO_WRITEPROTECT
	IoctlPoison       = 0xc020aa08 // UFFDIO_POISON

	IoctlPagemapScan = 0xc0606610 // PAGEMAP_SCAN, on /proc/self/pagemap
)

// Bits of the ioctls field that UFFDIO_REGISTER answers with: what a range can do.
const (
	rangeCopy         = 1 << 3
	rangeWriteProtect = 1 << 6
)

const (
	apiVersion       = 0xaa // UFFD_API
	flagUserModeOnly = 1    // UFFD_USER_MODE_ONLY
)

// RegisterMode says which faults of a range go to the descriptor.
type RegisterMode uint64

const (
	ModeMissing RegisterMode = 1 << 0 // UFFDIO_REGISTER_MODE_MISSING: first touch of a page that is not there
	ModeWP      RegisterMode = 1 << 1 // UFFDIO_REGISTER_MODE_WP: write to a protected page
)

// CopyMode modifies UFFDIO_COPY.
type CopyMode uint64

const (
	CopyDontWake CopyMode = 1 << 0 // UFFDIO_COPY_MODE_DONTWAKE
	CopyWP       CopyMode = 1 << 1 // UFFDIO_COPY_MODE_WP: the page comes in write-protected, atomically
)

// Modes of UFFDIO_WRITEPROTECT, for WriteProtectArg.Mode. Zero lifts the protection and wakes.
const (
	WriteProtectWP       = 1 << 0 // UFFDIO_WRITEPROTECT_MODE_WP: protect
	WriteProtectDontWake = 1 << 1 // UFFDIO_WRITEPROTECT_MODE_DONTWAKE: lift, but wake nobody
)

// APIArg is struct uffdio_api.
type APIArg struct {
	API      uint64
	Features uint64
	Ioctls   uint64
}

// RangeArg is struct uffdio_range, in bytes.
type RangeArg struct {
	Start uint64
	Len   uint64
}

// RegisterArg is struct uffdio_register.
type RegisterArg struct {
	Range  RangeArg
	Mode   uint64
	Ioctls uint64
}

// CopyArg is struct uffdio_copy. Copy is the kernel's answer: bytes copied, or a negative errno if there were none.
type CopyArg struct {
	Dst  uint64
	Src  uint64
	Len  uint64
	Mode uint64
	Copy int64
}

// WriteProtectArg is struct uffdio_writeprotect.
type WriteProtectArg struct {
	Range RangeArg
	Mode  uint64
}

// PoisonArg is struct uffdio_poison. Updated is the kernel's answer, as CopyArg.Copy.
type PoisonArg struct {
	Range   RangeArg
	Mode    uint64
	Updated int64
}

// scanArg is struct pm_scan_arg.
type scanArg struct {
	size             uint64
	flags            uint64
	start            uint64
	end              uint64
	walkEnd          uint64
	vec              uint64
	vecLen           uint64
	maxPages         uint64
	categoryInverted uint64
	categoryMask     uint64
	categoryAnyof    uint64
	returnMask       uint64
}

// PageRegion is struct page_region: the pages in [Start, End) share Categories.
type PageRegion struct {
	Start      uint64
	End        uint64
	Categories uint64
}

// ScanMode modifies PAGEMAP_SCAN.
type ScanMode uint64

const (
	ScanProtect ScanMode = 1 << 0 // PM_SCAN_WP_MATCHING: protect what is found; implies ScanCheck
	ScanCheck   ScanMode = 1 << 1 // PM_SCAN_CHECK_WPASYNC: fail where the range is not armed with FeatureWPAsync
)

// Categories of pages, of PAGEMAP_SCAN.
const (
	pageIsWritten = 1 << 1 // PAGE_IS_WRITTEN: not write-protected by userfaultfd
	pageIsPFNZero = 1 << 5 // PAGE_IS_PFNZERO: the shared zero page
)
