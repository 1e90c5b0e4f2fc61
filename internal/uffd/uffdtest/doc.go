// Package uffdtest puts a test in a process that may not have a userfaultfd, as in a container with Docker's default seccomp
// profile or under gVisor.
//
// A process cannot leave such a state, so a test runs itself again in a child:
//
//	func TestWithoutUserfaultfd(t *testing.T) {
//		if uffdtest.Child(t, uffdtest.Nobody, unix.EPERM) {
//			return // the child was run; it passed, or this test has failed
//		}
//		... in the child
//	}
package uffdtest
