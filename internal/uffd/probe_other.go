//go:build !linux

package uffd

func probeUserfaultfd() error   { return errSystem }
func probeDevice() error        { return errSystem }
func probeSIGBUS() error        { return errSystem }
func probeWriteProtect() error  { return errSystem }
func probeWPUnpopulated() error { return errSystem }
func probeCopy() error          { return errSystem }
func probeWPAsync() error       { return errSystem }
func probePagemapScan() error   { return errSystem }
func probePoison() error        { return errSystem }
func probeHugePages() error     { return errSystem }
