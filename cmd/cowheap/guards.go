package main

import (
	"fmt"
	"slices"
	"strconv"
)

// guardReport is a way of noticing the first write to a page after a snapshot, and whether it works here.
type guardReport struct {
	Name   string   `json:"name"`
	About  string   `json:"about"`
	Needs  []string `json:"needs"` // features, by name; what else it needs is in Reason where it is missing
	Status answer   `json:"status"`
	Reason string   `json:"reason,omitempty"`
	Remedy string   `json:"remedy,omitempty"`
}

// guardNeeds is what a guard stands on.
type guardNeeds struct {
	name, about string
	included    bool     // in this version
	linuxAMD64  bool     // the code is for this system and processor
	features    []string // of the kernel
}

// automatic is the order in which GuardAuto looks for one that works. The shadow guard costs twice the memory, so it is taken only
// when asked for.
var automatic = []string{"userfault", "mprotect", "copy"}

var guardTable = []guardNeeds{
	{
		name: "userfault", about: "saves a page at the first write to it, on the thread that writes",
		included: true, linuxAMD64: true,
		features: []string{"userfaultfd", "sigbus", "write-protect", "wp-unpopulated", "copy"},
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
		included: true,
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

// guards says of each guard whether it works here.
func guards(s systemReport, features []featureReport) []guardReport {
	var list []guardReport
	for _, n := range guardTable {
		g := guardReport{Name: n.name, About: n.about, Needs: append([]string{}, n.features...)} // [], not null
		lack := n.lack(s, features)
		g.Status, g.Reason, g.Remedy = lack.status, lack.reason, lack.remedy
		if !n.included {
			machine := "has what it needs"
			if lack.status != answerYes {
				machine = "lacks " + lack.what
			}
			g.Status, g.Reason, g.Remedy = answerNotIncluded, "not part of this version of cowheap (this machine "+machine+")", ""
		}
		list = append(list, g)
	}
	return list
}

// lack is the first thing that a guard needs and that is not there, if status is not answerYes.
type lack struct {
	status               answer
	what, reason, remedy string
}

func (n *guardNeeds) lack(s systemReport, features []featureReport) lack {
	here := ", this is " + s.OS + "/" + s.Arch
	switch {
	case n.linuxAMD64 && (s.OS != "linux" || s.Arch != "amd64"):
		return lack{answerNo, "linux/amd64", "needs linux/amd64" + here, "use the copy guard here"}
	case s.OS == "windows" || strconv.IntSize < 64:
		return lack{answerNo, "a 64-bit unix", "reserving address space needs a 64-bit unix" + here, "build for a 64-bit unix"}
	case s.PageSize != 4096:
		return lack{answerNo, "4 KiB pages", fmt.Sprintf("needs 4 KiB pages, here they are %d bytes", s.PageSize), "run on a kernel with 4 KiB pages"}
	}
	for _, f := range features {
		if f.Status != answerYes && slices.Contains(n.features, f.Name) {
			return lack{f.Status, f.Name, "needs " + f.Name + ": " + f.Reason, f.Remedy}
		}
	}
	return lack{status: answerYes}
}
