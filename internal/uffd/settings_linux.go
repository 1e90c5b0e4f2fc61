package uffd

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const hugePagePath = "/sys/kernel/mm/transparent_hugepage/"

// ReadSettings reads them from /proc, /sys and the kernel.
func ReadSettings() Settings {
	return Settings{
		Kernel:            kernelRelease(),
		HugePages:         selected(readLine(hugePagePath + "enabled")),
		Overcommit:        readInt("/proc/sys/vm/overcommit_memory"),
		MaxMapCount:       readInt("/proc/sys/vm/max_map_count"),
		UnprivilegedUffd:  readInt("/proc/sys/vm/unprivileged_userfaultfd"),
		HugePagesDisabled: prctlIs(unix.PR_GET_THP_DISABLE),
		MemoryMerge:       prctlIs(unix.PR_GET_MEMORY_MERGE),
		Seccomp:           seccompFilters(),
	}
}

// hugePageSize is the size in bytes of a huge page that one page table entry maps.
func hugePageSize() int {
	if n := readInt(hugePagePath + "hpage_pmd_size"); n > 0 {
		return n
	}
	return 2 << 20
}

// selected is the word in brackets: "always [madvise] never".
func selected(line string) string {
	_, rest, _ := strings.Cut(line, "[")
	word, _, found := strings.Cut(rest, "]")
	if !found {
		return ""
	}
	return word
}

// readLine is the content of a small file, "" if it cannot be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// readInt is the number in a small file, -1 if there is none.
func readInt(path string) int {
	n, err := strconv.Atoi(readLine(path))
	if err != nil {
		return -1
	}
	return n
}

// prctlIs reports whether a setting of this process is on; an older kernel that does not know it has it off.
func prctlIs(option int) bool {
	on, err := unix.PrctlRetInt(option, 0, 0, 0, 0)
	return err == nil && on != 0
}

// seccompFilters reports whether a seccomp filter is in force for this process; false if it cannot be told.
func seccompFilters() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && strings.Contains(string(status), "\nSeccomp:\t2\n")
}

// kernelRelease is what uname -r prints.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// kernelAtLeast compares the running kernel's version. One that cannot be read is not new enough for anything.
func kernelAtLeast(major, minor int) bool {
	return releaseAtLeast(kernelRelease(), major, minor)
}

func releaseAtLeast(release string, major, minor int) bool {
	gotMajor, rest := leadingInt(release)
	gotMinor, _ := leadingInt(strings.TrimPrefix(rest, "."))
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

// leadingInt is the number that s starts with, and what follows it.
func leadingInt(s string) (n int, rest string) {
	for len(s) > 0 && '0' <= s[0] && s[0] <= '9' && n < 1e6 {
		n, s = n*10+int(s[0]-'0'), s[1:]
	}
	return n, s
}
