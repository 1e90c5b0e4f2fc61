package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/uffd"
)

// report is everything that probe says. Its JSON is read by programs: fields may be added, and what is there keeps name, type and
// meaning, or Schema goes up.
type report struct {
	Schema       int             `json:"schema"`
	Version      string          `json:"version"` // of cowheap, "(devel)" for one built from a working tree
	System       systemReport    `json:"system"`
	DefaultGuard string          `json:"default_guard"` // what GuardAuto takes here; "" if no guard works
	Guards       []guardReport   `json:"guards"`
	Features     []featureReport `json:"features"`
}

type systemReport struct {
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Kernel   string `json:"kernel"` // release; "" where it is not known
	PageSize int    `json:"page_size"`
	UserID   int    `json:"user_id"` // -1 where there is none

	HugePages        string `json:"transparent_hugepage"`      // "always", "madvise", "never", "" if there are none
	Overcommit       int    `json:"overcommit_memory"`         // this and the next two: -1 if unknown
	MaxMapCount      int    `json:"max_map_count"`             //
	UnprivilegedUffd int    `json:"unprivileged_userfaultfd"`  //
	HugePagesOff     bool   `json:"process_hugepage_disabled"` // PR_SET_THP_DISABLE
	MemoryMerge      bool   `json:"process_memory_merge"`      // PR_SET_MEMORY_MERGE
	Seccomp          bool   `json:"process_seccomp_filter"`
}

// answer is one of "yes", "no" and "unknown" (the probe itself failed, for a reason that may pass).
type answer string

const (
	answerYes     answer = "yes"
	answerNo      answer = "no"
	answerUnknown answer = "unknown"
)

type featureReport struct {
	Name      string `json:"name"`
	About     string `json:"about"`
	MinKernel string `json:"min_kernel"` // first Linux version that has it on this processor
	Status    answer `json:"status"`
	Reason    string `json:"reason,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
}

func probeMachine() *report {
	r := &report{Schema: 1, Version: version(), System: system()}
	for _, p := range uffd.Probes() {
		r.Features = append(r.Features, feature(p))
	}
	r.Guards = guards(arena.Probe())
	r.DefaultGuard = defaultGuard(r.Guards)
	return r
}

func feature(p uffd.Probe) featureReport {
	f := featureReport{Name: p.Name, About: p.About, MinKernel: p.MinKernel, Status: answerYes}
	err := p.Have()
	if err == nil {
		return f
	}
	f.Status, f.Reason = answerUnknown, err.Error()
	f.Remedy = "try again"
	if e, ok := errors.AsType[*uffd.NotSupportedError](err); ok {
		f.Status, f.Reason, f.Remedy = answerNo, e.Reason, e.Remedy
	}
	return f
}

func system() systemReport {
	s := uffd.ReadSettings()
	return systemReport{
		OS:               runtime.GOOS,
		Arch:             runtime.GOARCH,
		Kernel:           s.Kernel,
		PageSize:         os.Getpagesize(),
		UserID:           os.Geteuid(),
		HugePages:        s.HugePages,
		Overcommit:       s.Overcommit,
		MaxMapCount:      s.MaxMapCount,
		UnprivilegedUffd: s.UnprivilegedUffd,
		HugePagesOff:     s.HugePagesDisabled,
		MemoryMerge:      s.MemoryMerge,
		Seccomp:          s.Seccomp,
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
