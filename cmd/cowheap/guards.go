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
	name, about string
	linuxAMD64  bool     // the code is for this system and processor
	features    []string // of the kernel
}

// automatic is the order in which GuardAuto looks for one that works. The shadow guard costs twice the memory, so it is taken only
// when asked for.
var automatic = []string{"userfault", "mprotect", "copy"}

var guardTable = []guardNeeds{
	{
		name: "userfault", about: "saves a page at the first write to it, on the thread that writes",
		features: []string{"userfaultfd", "sigbus", "write-protect", "copy"},
	},
	{
		name: "shadow", about: "keeps a second copy, and asks the kernel which pages were written",
		features: []string{"userfaultfd", "wp-async", "wp-unpopulated", "pagemap-scan"},
	},
	{
		name: "mprotect", about: "as userfault, in larger pieces, where userfaultfd is refused",
		linuxAMD64: true,
	},
	{
		name: "copy", about: "copies everything in use while writers wait",
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

// guards says of each guard whether it works here. included are those of this version.
func guards(s systemReport, features []featureReport, included []arena.GuardSupport) []guardReport {
	var list []guardReport
	for _, n := range guardTable {
		g := guardReport{Name: n.name, About: n.about, Needs: append([]string{}, n.features...)} // [], not null
		if i := slices.IndexFunc(included, func(p arena.GuardSupport) bool { return p.Guard.String() == n.name }); i >= 0 {
			g.Status, g.Reason, g.Remedy = verdict(included[i].Err)
			if g.Status == answerYes {
				g.Note = included[i].Note
			}
		} else {
			machine := "has what it needs"
			if what := n.lack(s, features); what != "" {
				machine = "lacks " + what
			}
			g.Status, g.Reason = answerNotIncluded, "not part of this version of cowheap (this machine "+machine+")"
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

// lack is the first thing that a guard needs and that is not there, "" if all is.
func (n *guardNeeds) lack(s systemReport, features []featureReport) string {
	if n.linuxAMD64 && (s.OS != "linux" || s.Arch != "amd64") {
		return "linux/amd64"
	}
	for _, f := range features {
		if f.Status != answerYes && slices.Contains(n.features, f.Name) {
			return f.Name
		}
	}
	return ""
}
