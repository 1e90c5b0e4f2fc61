// Package uffd is the kernel's interface for noticing page faults: userfaultfd, write protection, copying pages in, and
// PAGEMAP_SCAN, in pure Go. It also knows what this machine lacks, why, and what to do about it.
//
// Words: a range is registered with a descriptor (FD) for missing faults, write-protect faults or both; it is
// protected page by page; a write to a protected page is a fault until the protection is lifted.
package uffd
