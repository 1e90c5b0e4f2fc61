package uffd

// Settings are what this system was set to, as far as it bears on userfaultfd and large reservations. What cannot be
// read is -1 or "". They may change at any time; nothing here is cached.
type Settings struct {
	Kernel           string // uname -r: "6.18.44"
	HugePages        string // transparent huge pages: "always", "madvise" or "never"; "" if the kernel has none
	Overcommit       int    // vm.overcommit_memory: 0 by heuristic, 1 always, 2 never
	MaxMapCount      int    // vm.max_map_count: mappings a process may have; protecting by mprotect splits mappings
	UnprivilegedUffd int    // vm.unprivileged_userfaultfd: 1 if faults in system calls may be handled without privilege

	HugePagesDisabled bool // PR_SET_THP_DISABLE is on for this process
	MemoryMerge       bool // PR_SET_MEMORY_MERGE (systemd: MemoryKSM=) is on: KSM drops protections unless told MADV_UNMERGEABLE
	Seccomp           bool // this process runs under a seccomp filter
}
