package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// redisBench has a server of each side that was asked for.
type redisBench struct {
	dir     string
	quick   bool
	entries uint64
	sockets string // directory: a socket's name must be short
	sides   map[string]*redisSide
	batch   batch
}

// redisSide is a server that runs.
type redisSide struct {
	cmd    *exec.Cmd
	socket string
	dir    string // of its files
}

func openRedis(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	sockets, err := os.MkdirTemp("", "cowheap-redis-")
	return &redisBench{
		dir: s.Dir, quick: s.Quick, entries: uint64(s.Size / entryBytes),
		sockets: sockets, sides: map[string]*redisSide{}, batch: batch{},
	}, err
}

func (b *redisBench) Close() error {
	var errs []error
	for _, side := range b.sides {
		errs = append(errs, side.cmd.Process.Kill())
		side.cmd.Wait() // was killed
	}
	return errors.Join(append(errs, os.RemoveAll(b.sockets))...)
}

// Measure saves once for all variants of a side.
func (b *redisBench) Measure(variant string) (Reading, error) {
	side := firstWord(variant)
	return b.batch.take(side, variant, func() (map[string]Reading, error) {
		s := b.sides[side]
		if s == nil {
			var err error
			if s, err = b.start(side); err != nil {
				return nil, err
			}
		}
		return b.watch(side, s)
	})
}

// start starts a server and fills it.
func (b *redisBench) start(side string) (*redisSide, error) {
	// The entries themselves, what a map adds, and what a save adds.
	if err := needMemory(int64(b.entries) * entryBytes * 3); err != nil {
		return nil, err
	}
	s := &redisSide{socket: filepath.Join(b.sockets, side), dir: filepath.Join(b.dir, side)}
	if side == sideRedis {
		name, err := exec.LookPath("redis-server")
		if err != nil {
			return nil, fmt.Errorf("no redis-server in PATH, install Redis to measure beside it: %w", errors.ErrUnsupported)
		}
		s.cmd = exec.Command(name, "--port", "0", "--unixsocket", s.socket, "--dir", s.dir,
			"--save", "", "--appendonly", "no", "--rdbcompression", "no", "--loglevel", "warning")
	} else {
		name, err := os.Executable()
		if err != nil {
			return nil, err
		}
		s.cmd = exec.Command(name, serveWord, s.socket, s.dir)
		s.cmd.Stderr = os.Stderr
	}
	if err := os.Mkdir(s.dir, 0o777); err != nil {
		return nil, err
	}
	// It must not outlive this program, however that ends.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.sides[side] = s
	if err := s.wait(); err != nil {
		return nil, err
	}
	return s, fillRedis(s.socket, b.entries)
}

// wait waits until the server answers.
func (s *redisSide) wait() (err error) {
	for range 500 {
		var c *redisClient
		if c, err = dialRedis(s.socket); err == nil {
			_, err = c.do("PING")
			return errors.Join(err, c.close())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the server does not answer: %w", err)
}

// watch has the server save under load.
func (b *redisBench) watch(side string, s *redisSide) (_ map[string]Reading, err error) {
	control, err := dialRedis(s.socket)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, control.close()) }()
	beside := 2 * time.Second
	if b.quick {
		beside /= 20
	}
	atRest, err := s.memory()
	if err != nil {
		return nil, err
	}
	peak, err := s.watchPeak()
	if err != nil {
		return nil, err
	}
	load := startRedisLoad(s.socket, b.entries, redisPerSecond)
	time.Sleep(beside / 4)
	load.phase.Store(before)
	time.Sleep(beside)
	load.phase.Store(during)
	took, most, err := s.save(control)
	load.phase.Store(after)
	grown, peakErr := peak()
	if err = errors.Join(err, load.stop(), peakErr); err != nil {
		return nil, err
	}
	file, err := newestFile(s.dir)
	if err != nil {
		return nil, err
	}
	if least := int64(b.entries) * entryBytes; file < least {
		return nil, fmt.Errorf("a file of %d bytes for entries of %d", file, least)
	}
	all := map[string]Reading{}
	put := func(name string, value float64) {
		all[side+"/"+name] = Reading{Value: value, Bytes: int64(b.entries) * entryBytes}
	}
	for name, phase := range map[string]int{"before/": before, "during/": during} {
		quantiles, err := load.quantiles(phase)
		if err != nil {
			return nil, err
		}
		for what, us := range quantiles {
			put(name+what, us)
		}
	}
	put("save", float64(took.Nanoseconds())/1e6)
	put("file", float64(file)/mib)
	put("memory", float64(atRest.pss)/mib)
	put("extra/pss", float64(max(most.pss-atRest.pss, grown))/mib)
	if side == sideCowheap {
		most.copied = max(most.privateDirty-atRest.privateDirty, grown)
	}
	put("extra/private-dirty", float64(most.copied)/mib)
	return all, nil
}

// save asks for one and waits for its end: how long it took, and the most memory meanwhile.
func (s *redisSide) save(control *redisClient) (took time.Duration, most processMemory, err error) {
	start := time.Now()
	if _, err := control.do("BGSAVE"); err != nil {
		return 0, most, err
	}
	const askEach = 500 * time.Millisecond
	for asked := start.Add(-askEach / 2); ; {
		info, err := control.do("INFO", "persistence")
		if err != nil {
			return 0, most, err
		}
		if strings.Contains(string(info), "rdb_bgsave_in_progress:0") {
			took = time.Since(start)
			if !strings.Contains(string(info), "rdb_last_bgsave_status:ok") {
				err = errors.New("the save failed")
			}
			return took, most, err
		}
		if time.Since(asked) >= askEach {
			asked = time.Now()
			m, err := s.memory()
			if err != nil {
				return 0, most, err
			}
			most.pss, most.privateDirty, most.copied = max(most.pss, m.pss), max(most.privateDirty, m.privateDirty), max(most.copied, m.copied)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// watchPeak begins to watch the resident memory of the server alone: what is asked now and then
// may miss the most. peak says by how much it has grown since at the most, in bytes.
func (s *redisSide) watchPeak() (peak func() (int64, error), err error) {
	of := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	// 5: the greatest so far is forgotten, see proc_pid_clear_refs(5).
	if err := os.WriteFile(of+"/clear_refs", []byte("5"), 0); err != nil {
		return nil, err
	}
	before, err := sumFields(of+"/status", "VmRSS:")
	return func() (int64, error) {
		most, err := sumFields(of+"/status", "VmHWM:")
		return max(most-before, 0), err
	}, err
}

// processMemory is in bytes.
type processMemory struct {
	pss          int64 // with children
	privateDirty int64 // without
	copied       int64 // private dirty memory of children: what was copied on write since they were made
}

// memory is that of the server and of its children.
func (s *redisSide) memory() (sum processMemory, err error) {
	pid := strconv.Itoa(s.cmd.Process.Pid)
	if sum, err = memoryOf(pid); err != nil {
		return sum, err
	}
	tasks, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, name := range tasks {
		children, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			if m, err := memoryOf(child); err == nil { // or it has ended
				sum.pss += m.pss
				sum.copied += m.privateDirty
			}
		}
	}
	return sum, err
}

func memoryOf(pid string) (m processMemory, err error) {
	file, err := os.Open("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return m, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch {
		case err != nil: // the first line is of addresses
		case name == "Pss":
			m.pss = kib << 10
		case name == "Private_Dirty":
			m.privateDirty = kib << 10
		}
	}
	return m, lines.Err()
}
