package main

import (
	"errors"
	"slices"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/uffd"
)

// guardReport is a way of noticing the first write to a page after a snapshot, and whether it works here.
type guardReport struct {
	Name   string   `json:"name"`
	About  string   `json:"about"`
	Needs  []string `json:"needs"` // features, by name; what else it needs is in Reason where it is missing
	Status answer   `json:"status"`
	Reason string   `json:"reason,omitempty"`
	Remedy string   `json:"remedy,omitempty"`
	Note   string   `json:"note,omitempty"` // what is slower than it could be, of a guard that works
}

// guardNeeds is what a guard stands on.
type guardNeeds struct {
	guard    arena.Guard
	about    string
	features []string // of the kernel
}

// automatic is the order in which GuardAuto looks for one that works. The shadow guard costs twice the memory, so it is taken only
// when asked for.
var automatic = []string{"userfault", "mprotect", "copy"}

var guardTable = []guardNeeds{
	{
		guard: arena.GuardUserfault, about: "saves a page at the first write to it, on the thread that writes",
		features: []string{"userfaultfd", "sigbus", "write-protect", "copy"},
	},
	{
		guard: arena.GuardShadow, about: "keeps a second copy, and asks the kernel which pages were written",
		features: []string{"userfaultfd", "wp-async", "wp-unpopulated", "pagemap-scan"},
	},
	{
		guard: arena.GuardMprotect, about: "as userfault, in larger pieces, where userfaultfd is refused",
	},
	{
		guard: arena.GuardCopy, about: "copies everything in use while writers wait",
	},
}

// defaultGuard is what GuardAuto takes, "" if none works.
func defaultGuard(list []guardReport) string {
	for _, name := range automatic {
		for _, g := range list {
			if g.Name == name && g.Status == answerYes {
				return name
			}
		}
	}
	return ""
}

// guards says of each guard whether it works here, as arena.Probe has found.
func guards(probed []arena.GuardSupport) []guardReport {
	var list []guardReport
	for _, p := range probed {
		g := guardReport{Name: p.Guard.String(), Needs: []string{}} // [], not null
		if i := slices.IndexFunc(guardTable, func(n guardNeeds) bool { return n.guard == p.Guard }); i >= 0 {
			g.About, g.Needs = guardTable[i].about, append(g.Needs, guardTable[i].features...)
		}
		g.Status, g.Reason, g.Remedy = verdict(p.Err)
		if g.Status == answerYes {
			g.Note = p.Note
		}
		list = append(list, g)
	}
	return list
}

// verdict says what an error of arena.Probe means.
func verdict(err error) (status answer, reason, remedy string) {
	if err == nil {
		return answerYes, "", ""
	}
	status = answerUnknown
	if errors.Is(err, arena.ErrNotSupported) {
		status = answerNo
	}
	if e, ok := errors.AsType[*uffd.NotSupportedError](err); ok {
		return status, "needs " + e.Feature + ": " + e.Reason, e.Remedy
	}
	return status, err.Error(), ""
}
