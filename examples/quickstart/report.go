package main

import (
	"fmt"
	"strings"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// checkpoint prints what a checkpoint cost.
func (p *printer) checkpoint(b *build, s saved) {
	before, after := s.before, s.after
	meanwhile := ""
	if s.busy {
		meanwhile = ", while indexing goes on"
	}
	p.line("  checkpoint, begun with %s in%s:", plural(s.began.files, "file"), meanwhile)
	p.figure("  pause", span(after.LastPause), "writers were held; %s before it until no file was half in", span(after.LastWaited))
	if after.Guard == arena.GuardCopy {
		p.figure("  copied", mib(s.info.Size), "during the pause, for this guard knows no first writes")
	} else if after.Guard == arena.GuardShadow {
		p.figure("  shadow", mib(after.ShadowBytes), "a copy of the pages in use, kept for the next snapshot; the kernel notes first writes")
	} else {
		faults := after.Faults - before.Faults
		preserved := faults - (after.Idle - before.Idle) + after.Neighbours - before.Neighbours
		p.figure("  faults", count(faults), "first writes to a page that was not saved yet")
		p.figure("  preserved", count(preserved), "old pages kept because of that, %s of %s", mib(preserved*4096), mib(s.info.Size))
	}
	took := s.ended.at.Sub(s.began.at)
	p.figure("  file", mib(s.info.Bytes), "in %s, %s, fsync included", span(took), rate(s.info.Bytes, took))
	if s.busy {
		start := mark{at: b.start}
		p.figure("  meanwhile", s.began.rate(s.ended), "indexed (%s); before it %s", plural(s.ended.files-s.began.files, "file"), start.rate(s.began))
	}
}

// indexed prints what is in the finished index.
func (p *printer) indexed(b *build) error {
	end, start := b.mark(), mark{at: b.start}
	var words int
	err := b.index.heap.View(func(m *cowheap.Mem) error {
		words = b.index.root.Ptr(m).words()
		return nil
	})
	if err != nil {
		return err
	}
	p.figure("indexed", mib(end.bytes), "in %s, %s: %s, %s, %s different", span(end.at.Sub(b.start)), start.rate(end),
		plural(end.files, "file"), plural(b.words.Load(), "word"), count(words))
	resident := "how much is in memory cannot be told here"
	if n, err := b.index.heap.Resident(); err == nil {
		resident = mib(n) + " in memory"
	}
	stats := b.index.heap.Stats()
	p.figure("heap", mib(stats.Used), "%s objects; %s", count(stats.Objects), resident)
	if n := b.binary + b.large + len(b.unread); n > 0 {
		p.figure("left out", count(n), "of the files: %s", b.leftOut())
	}
	return nil
}

// leftOut says which files are not in the index, and why.
func (b *build) leftOut() string {
	var why []string
	if b.binary > 0 {
		why = append(why, count(b.binary)+" "+errBinary.Error())
	}
	if b.large > 0 {
		why = append(why, count(b.large)+" "+errLarge.Error())
	}
	if n := len(b.unread); n > 0 {
		why = append(why, fmt.Sprintf("%s unreadable (%v)", count(n), b.unread[0]))
	}
	return strings.Join(why, ", ")
}
