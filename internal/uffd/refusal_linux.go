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
		e.Remedy = "in a container (the default seccomp profiles of Docker and containerd refuse the system call): give it the device " +
			"(docker run --device /dev/userfaultfd, readable and writable by its user), or allow userfaultfd in its seccomp profile; " +
			"elsewhere look for another security policy, and at sysctl vm.unprivileged_userfaultfd on kernels before 5.11"
	case unix.ENOSYS:
		e.Reason = "the system call is not implemented"
		if seccompFilters() {
			e.Reason += ", or the seccomp filter of this process hides it"
		}
		e.Remedy = "gVisor and kernels built without CONFIG_USERFAULTFD have none: run on a Linux kernel that has it (uname, runtime runc or kata); " +
			"under a seccomp profile allow userfaultfd"
	case unix.EINVAL:
		e.MinKernel = "5.11"
		e.Reason = "the kernel does not know UFFD_USER_MODE_ONLY"
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
