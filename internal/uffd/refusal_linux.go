package uffd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// refusal turns what userfaultfd(2) answered into an error with a remedy. deviceErr is what the device had answered
// before. Errors of the moment (no descriptors left, no memory) stay plain.
func refusal(errno unix.Errno, deviceErr error) error {
	e := &NotSupportedError{Feature: "userfaultfd", Err: errno}
	switch errno {
	case unix.EPERM, unix.EACCES:
		e.Reason = fmt.Sprintf("the system call is refused (%v), and so is the device (%v)", errno, deviceErr)
		if seccompFilters() {
			e.Reason += "; this process runs under a seccomp filter"
		}
		e.Remedy = "in a container: docker run --device /dev/userfaultfd (Linux 6.1; its user must be able to open it), or a seccomp profile " +
			"that allows userfaultfd, which the default profiles of Docker and containerd refuse even to root; elsewhere a " +
			"security module refuses it, or, before Linux 5.11, sysctl vm.unprivileged_userfaultfd=0"
	case unix.ENOSYS:
		e.Reason = "the system call is not there"
		if seccompFilters() {
			e.Reason += ", or the seccomp filter of this process hides it"
		}
		e.Remedy = "gVisor has none: use another container runtime; a kernel built without CONFIG_USERFAULTFD has none: use another kernel; " +
			"a seccomp profile can hide it: allow userfaultfd there"
	case unix.EINVAL:
		e.MinKernel = "5.11"
		e.Reason = "this kernel (" + kernelRelease() + ") does not know UFFD_USER_MODE_ONLY"
		e.Remedy = "run on a newer kernel"
	default:
		return fmt.Errorf("creating a userfaultfd: %w", errors.Join(errno, deviceErr))
	}
	return e
}

// lacking is the error for features that UFFDIO_API does not offer.
func lacking(missing, offered Feature) error {
	e := &NotSupportedError{
		Feature:   "userfaultfd feature " + missing.String(),
		Missing:   missing,
		MinKernel: missing.MinKernel(),
		Reason:    fmt.Sprintf("this kernel (%s) offers %v", kernelRelease(), offered),
		Remedy:    "run on a newer kernel",
	}
	return e
}
