//go:build !linux

package uffd

import "runtime"

// FD is a userfaultfd. Only Linux has them: on this system Open fails, and there is never an FD.
type FD struct{}

var errSystem = &NotSupportedError{
	Feature: "userfaultfd",
	Reason:  runtime.GOOS + " has none",
	Remedy:  "run on Linux",
}

// Open returns a *NotSupportedError.
func Open(Feature) (*FD, error) { return nil, errSystem }

func (f *FD) Fd() int                                           { return -1 }
func (f *FD) Features() Feature                                 { return 0 }
func (f *FD) UserModeOnly() bool                                { return false }
func (f *FD) Close() error                                      { return nil }
func (f *FD) Register(addr, n uintptr, mode RegisterMode) error { return errSystem }
func (f *FD) Unregister(addr, n uintptr) error                  { return errSystem }
func (f *FD) Protect(addr, n uintptr) error                     { return errSystem }
func (f *FD) Unprotect(addr, n uintptr) error                   { return errSystem }
func (f *FD) Wake(addr, n uintptr) error                        { return errSystem }
func (f *FD) Poison(addr, n uintptr) error                      { return errSystem }
func (f *FD) Copy(dst, src, n uintptr, mode CopyMode) (copied int, err error) {
	return 0, errSystem
}
