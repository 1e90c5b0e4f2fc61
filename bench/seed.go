package main

// The case "seed": the test program quoted in the kernel commit that brought
// UFFD_FEATURE_WP_UNPOPULATED (2bad466cc9d9), done again in Go. How long does it take to
// write-protect memory that nobody has ever touched?
//
// Each test maps fresh private anonymous memory, registers it with a fresh
// userfaultfd, and then the clock runs: what the test does first, and one
// UFFDIO_WRITEPROTECT over everything.
//
//   - default does nothing first, and protects nothing: without the feature the
//     kernel passes over pages that are not there. It is no solution, but the
//     least that a call costs.
//   - pre-read reads a byte of every page, so that each is there (as the zero page).
//   - madvise has the kernel do so: MADV_POPULATE_READ.
//   - wp-unpopulate does nothing first and asks for the feature.
//
// /thp=off and /thp=on are MADV_NOHUGEPAGE and MADV_HUGEPAGE on the mapping; the
// original took what the system was set to. The original's Total includes the
// pre-fault, and so does the figure here.
//
// Not measured: mapping, registering and unmapping, and what the first write to
// a page that was protected in one of these ways costs later. No heap is
// involved, and no memory but page tables (two MiB a GiB with 4 KiB pages).

// Names of the tests.
const (
	seedDefault       = "default"
	seedPreRead       = "pre-read"
	seedMadvise       = "madvise"
	seedWPUnpopulated = "wp-unpopulate"

	thpOff = "/thp=off"
	thpOn  = "/thp=on"
)

func seedCase() *Case {
	c := &Case{
		Name:  "seed",
		About: "write-protecting memory that was never touched, as in kernel commit 2bad466cc9d9",
		Size:  10 * gib,
		Quick: 64 * mib,
		Bounds: []Bound{
			{seedPreRead + thpOff, ">=", 50, seedWPUnpopulated + thpOff},
		},
		Open: openSeed,
	}
	for _, thp := range []string{thpOff, thpOn} {
		for _, test := range []string{seedDefault, seedPreRead, seedMadvise, seedWPUnpopulated} {
			c.Variants = append(c.Variants, Variant{test + thp, "us", seedPreRead + thp})
		}
	}
	return c
}
