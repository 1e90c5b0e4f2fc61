package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const textWidth = 100 // columns

// writeText prints r for people: a line for the machine, then guards, features and settings, each answer in the same column.
func (r *report) writeText(w io.Writer) error {
	out := bufio.NewWriter(w)
	s := r.System
	name := s.OS
	if s.Kernel != "" {
		name = strings.ToUpper(s.OS[:1]) + s.OS[1:] + " " + s.Kernel
	}
	fmt.Fprintf(out, "%s on %s, pages of %d bytes", name, s.Arch, s.PageSize)
	if s.UserID >= 0 {
		fmt.Fprintf(out, ", uid %d", s.UserID)
	}
	if s.Seccomp {
		fmt.Fprint(out, ", seccomp filter")
	}
	fmt.Fprintf(out, ", cowheap %s\n", r.Version)

	fmt.Fprintln(out, "\nGuards (how the first write to a page after a snapshot is noticed)")
	var guards []textRow
	for _, g := range r.Guards {
		about := g.About
		if g.Name == r.DefaultGuard {
			about += " (the default here)"
		}
		if g.Note != "" {
			about += "; " + g.Note
		}
		guards = append(guards, textRow{g.Name, string(g.Status), about, "", g.Reason, g.Remedy})
	}
	writeRows(out, guards)

	fmt.Fprintln(out, "\nFeatures of the kernel")
	var features []textRow
	said := map[string]string{} // where one feature stands on another they say the same
	for _, f := range r.Features {
		if first, ok := said[f.Reason]; ok && f.Reason != "" {
			f.Reason, f.Remedy = "as "+first, ""
		} else {
			said[f.Reason] = f.Name
		}
		features = append(features, textRow{f.Name, string(f.Status), f.About, "Linux " + f.MinKernel, f.Reason, f.Remedy})
	}
	writeRows(out, features)

	if s.OS == "linux" {
		fmt.Fprintln(out, "\nSettings")
		writeRows(out, s.settings())
	}
	return out.Flush()
}

// settings are rows of name, value and what the value means for cowheap.
func (s *systemReport) settings() []textRow {
	number := func(n int) string {
		if n < 0 {
			return "unknown"
		}
		return fmt.Sprint(n)
	}
	hugePages := s.HugePages
	if hugePages == "" {
		hugePages = "none"
	}
	rows := []textRow{
		{name: "transparent_hugepage", answer: hugePages, about: "always, madvise: huge pages can be had where asked for"},
		{name: "vm.overcommit_memory", answer: number(s.Overcommit), about: "2: memory in use must be backed by RAM and swap; reserved address space is free"},
		{name: "vm.max_map_count", answer: number(s.MaxMapCount), about: "limit of mappings; matters to the mprotect guard only"},
		{name: "vm.unprivileged_userfaultfd", answer: number(s.UnprivilegedUffd), about: "0 is fine: faults inside system calls are not resolved anyway"},
	}
	if s.HugePagesOff {
		rows = append(rows, textRow{name: "PR_SET_THP_DISABLE", answer: "on", about: "no huge pages for this process"})
	}
	if s.MemoryMerge {
		rows = append(rows, textRow{name: "PR_SET_MEMORY_MERGE", answer: "on", about: "merging pages is switched off for the arena's memory"})
	}
	return rows
}

// textRow is one line, and below it why the answer is not yes.
type textRow struct {
	name, answer, about, since string
	reason, remedy             string
}

func writeRows(w io.Writer, rows []textRow) {
	var name, answer, about int
	for _, r := range rows {
		name = max(name, utf8.RuneCountInString(r.name))
		answer = max(answer, utf8.RuneCountInString(r.answer))
		about = max(about, utf8.RuneCountInString(r.about))
	}
	for _, r := range rows {
		line := fmt.Sprintf("  %-*s  %-*s  %-*s  %s", name, r.name, answer, r.answer, about, r.about, r.since)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
		indent := 2 + name + 2 + answer + 2
		writeWrapped(w, indent, "reason: ", r.reason)
		writeWrapped(w, indent, "remedy: ", r.remedy)
	}
}

// writeWrapped prints label and text, indented, broken between words at textWidth.
func writeWrapped(w io.Writer, indent int, label, text string) {
	if text == "" {
		return
	}
	margin := strings.Repeat(" ", indent+len(label))
	line := strings.Repeat(" ", indent) + label
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			fmt.Fprintln(w, line)
			line, empty = margin, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(w, line)
}
