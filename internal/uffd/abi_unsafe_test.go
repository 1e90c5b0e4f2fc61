package uffd

import (
	"testing"
	"unsafe"
)

// ioc is _IOC of asm-generic/ioctl.h.
func ioc(dir, typ, nr, size uintptr) uintptr {
	const nrBits, typeBits, sizeBits = 8, 8, 14
	return nr | typ<<nrBits | size<<(nrBits+typeBits) | dir<<(nrBits+typeBits+sizeBits)
}

func TestIoctlNumbers(t *testing.T) {
	const (
		none, write, read = 0, 1, 2

		uffdType = 0xaa // UFFDIO and USERFAULTFD_IOC
		fsType   = 'f'
	)
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"USERFAULTFD_IOC_NEW", IoctlNew, ioc(none, uffdType, 0x00, 0)},
		{"UFFDIO_API", IoctlAPI, ioc(read|write, uffdType, 0x3f, unsafe.Sizeof(APIArg{}))},
		{"UFFDIO_REGISTER", IoctlRegister, ioc(read|write, uffdType, 0x00, unsafe.Sizeof(RegisterArg{}))},
		{"UFFDIO_UNREGISTER", IoctlUnregister, ioc(read, uffdType, 0x01, unsafe.Sizeof(RangeArg{}))},
		{"UFFDIO_WAKE", IoctlWake, ioc(read, uffdType, 0x02, unsafe.Sizeof(RangeArg{}))},
		{"UFFDIO_COPY", IoctlCopy, ioc(read|write, uffdType, 0x03, unsafe.Sizeof(CopyArg{}))},
		{"UFFDIO_WRITEPROTECT", IoctlWriteProtect, ioc(read|write, uffdType, 0x06, unsafe.Sizeof(WriteProtectArg{}))},
		{"UFFDIO_POISON", IoctlPoison, ioc(read|write, uffdType, 0x08, unsafe.Sizeof(PoisonArg{}))},
		{"PAGEMAP_SCAN", IoctlPagemapScan, ioc(read|write, fsType, 16, unsafe.Sizeof(scanArg{}))},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %#x, want %#x", tt.name, tt.got, tt.want)
		}
	}
}

// TestLayouts holds sizes and offsets against the C structs: fields in a row, eight bytes each, no padding.
func TestLayouts(t *testing.T) {
	var (
		api  APIArg
		rng  RangeArg
		reg  RegisterArg
		cpy  CopyArg
		wp   WriteProtectArg
		poi  PoisonArg
		scan scanArg
		page PageRegion
	)
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"sizeof uffdio_api", unsafe.Sizeof(api), 24},
		{"uffdio_api.api", unsafe.Offsetof(api.API), 0},
		{"uffdio_api.features", unsafe.Offsetof(api.Features), 8},
		{"uffdio_api.ioctls", unsafe.Offsetof(api.Ioctls), 16},
		{"sizeof uffdio_range", unsafe.Sizeof(rng), 16},
		{"uffdio_range.start", unsafe.Offsetof(rng.Start), 0},
		{"uffdio_range.len", unsafe.Offsetof(rng.Len), 8},
		{"sizeof uffdio_register", unsafe.Sizeof(reg), 32},
		{"uffdio_register.range", unsafe.Offsetof(reg.Range), 0},
		{"uffdio_register.mode", unsafe.Offsetof(reg.Mode), 16},
		{"uffdio_register.ioctls", unsafe.Offsetof(reg.Ioctls), 24},
		{"sizeof uffdio_copy", unsafe.Sizeof(cpy), 40},
		{"uffdio_copy.dst", unsafe.Offsetof(cpy.Dst), 0},
		{"uffdio_copy.src", unsafe.Offsetof(cpy.Src), 8},
		{"uffdio_copy.len", unsafe.Offsetof(cpy.Len), 16},
		{"uffdio_copy.mode", unsafe.Offsetof(cpy.Mode), 24},
		{"uffdio_copy.copy", unsafe.Offsetof(cpy.Copy), 32},
		{"sizeof uffdio_writeprotect", unsafe.Sizeof(wp), 24},
		{"uffdio_writeprotect.range", unsafe.Offsetof(wp.Range), 0},
		{"uffdio_writeprotect.mode", unsafe.Offsetof(wp.Mode), 16},
		{"sizeof uffdio_poison", unsafe.Sizeof(poi), 32},
		{"uffdio_poison.range", unsafe.Offsetof(poi.Range), 0},
		{"uffdio_poison.mode", unsafe.Offsetof(poi.Mode), 16},
		{"uffdio_poison.updated", unsafe.Offsetof(poi.Updated), 24},
		{"sizeof pm_scan_arg", unsafe.Sizeof(scan), 96},
		{"pm_scan_arg.size", unsafe.Offsetof(scan.size), 0},
		{"pm_scan_arg.flags", unsafe.Offsetof(scan.flags), 8},
		{"pm_scan_arg.start", unsafe.Offsetof(scan.start), 16},
		{"pm_scan_arg.end", unsafe.Offsetof(scan.end), 24},
		{"pm_scan_arg.walk_end", unsafe.Offsetof(scan.walkEnd), 32},
		{"pm_scan_arg.vec", unsafe.Offsetof(scan.vec), 40},
		{"pm_scan_arg.vec_len", unsafe.Offsetof(scan.vecLen), 48},
		{"pm_scan_arg.max_pages", unsafe.Offsetof(scan.maxPages), 56},
		{"pm_scan_arg.category_inverted", unsafe.Offsetof(scan.categoryInverted), 64},
		{"pm_scan_arg.category_mask", unsafe.Offsetof(scan.categoryMask), 72},
		{"pm_scan_arg.category_anyof_mask", unsafe.Offsetof(scan.categoryAnyof), 80},
		{"pm_scan_arg.return_mask", unsafe.Offsetof(scan.returnMask), 88},
		{"sizeof page_region", unsafe.Sizeof(page), 24},
		{"page_region.start", unsafe.Offsetof(page.Start), 0},
		{"page_region.end", unsafe.Offsetof(page.End), 8},
		{"page_region.categories", unsafe.Offsetof(page.Categories), 16},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestFeatureBits(t *testing.T) {
	for _, tt := range []struct {
		f         Feature
		bit       int
		name, min string
	}{
		{FeatureWriteProtect, 0, "PAGEFAULT_FLAG_WP", "5.7"},
		{FeatureSIGBUS, 7, "SIGBUS", "4.14"},
		{FeatureThreadID, 8, "THREAD_ID", "4.14"},
		{FeatureExactAddress, 11, "EXACT_ADDRESS", "5.18"},
		{FeatureWPHugetlbShmem, 12, "WP_HUGETLBFS_SHMEM", "5.19"},
		{FeatureWPUnpopulated, 13, "WP_UNPOPULATED", "6.4"},
		{FeaturePoison, 14, "POISON", "6.6"},
		{FeatureWPAsync, 15, "WP_ASYNC", "6.7"},
		{FeatureMove, 16, "MOVE", "6.8"},
	} {
		if tt.f != 1<<tt.bit {
			t.Errorf("%s = %#x, want bit %d", tt.name, uint64(tt.f), tt.bit)
		}
		if got := tt.f.String(); got != tt.name {
			t.Errorf("bit %d is %q, want %q", tt.bit, got, tt.name)
		}
		if got := featureInfo[tt.bit].since; got != tt.min {
			t.Errorf("%s since %s, want %s", tt.name, got, tt.min)
		}
	}
	if want := 1<<len(featureInfo) - 1; featureKnown != Feature(want) {
		t.Errorf("featureKnown = %#x, the table has %#x", uint64(featureKnown), want)
	}
}

func TestFeatureString(t *testing.T) {
	for _, tt := range []struct {
		f    Feature
		want string
	}{
		{0, "0"},
		{FeatureWriteProtect | FeatureSIGBUS, "PAGEFAULT_FLAG_WP|SIGBUS"},
		{FeatureSIGBUS | 1<<20, "SIGBUS|0x100000"},
		{1 << 63, "0x8000000000000000"},
	} {
		if got := tt.f.String(); got != tt.want {
			t.Errorf("%#x: %q, want %q", uint64(tt.f), got, tt.want)
		}
	}
}
