package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// thisMachine is where this program runs. What the system does not tell is left empty.
func thisMachine(command string) machineLine {
	m := machineLine{
		Machine: firstField("/proc/cpuinfo", "model name"),
		CPUs:    runtime.GOMAXPROCS(0),
		System:  runtime.GOOS + "/" + runtime.GOARCH,
		Go:      runtime.Version(),
		Command: command,
		Time:    time.Now().UTC().Format("2006-01-02 15:04"),
	}
	if m.Machine == "" {
		m.Machine = "unknown processor"
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(firstField("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kib << 10
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if thp, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		if _, rest, ok := strings.Cut(string(thp), "["); ok {
			m.HugePages, _, _ = strings.Cut(rest, "]")
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(load), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				m.Commit = s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return m
}

// firstField is what stands behind the first line with such a name in a file of /proc.
func firstField(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String is a line for people.
func (m machineLine) String() string {
	s := fmt.Sprintf("%s, %d processors, %s of memory; %s", m.Machine, m.CPUs, formatSize(float64(m.Memory)), m.System)
	if m.Kernel != "" {
		s += ", kernel " + m.Kernel
	}
	if m.HugePages != "" {
		s += ", huge pages: " + m.HugePages
	}
	return s + ", " + m.Go
}
