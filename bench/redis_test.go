package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes this binary the server, where the case "redis" starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == serveWord {
		if err := serveMap(context.Background(), os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestProtocolReadsWhatItWrites(t *testing.T) {
	var b []byte
	long := strings.Repeat("x", 100_000) // more than the buffer
	requests := [][]string{{"PING"}, {"SET", "key", ""}, {"SET", "a\r\nb", long}, {"GET", "$5\r\n"}}
	for _, r := range requests {
		b = appendRequest(b, r...)
	}
	r := newRespReader(bytes.NewReader(b))
	for _, want := range requests {
		got, err := r.request()
		if err != nil {
			t.Fatal(err)
		}
		if string(bytes.Join(got, []byte("|"))) != strings.Join(want, "|") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, err := r.request(); err != io.EOF {
		t.Errorf("error %v at the end", err)
	}
	for _, bad := range []string{"GET a\r\n", "*1\n", "*99\r\n", "*-1\r\n", "*1\r\n$-1\r\n", "*1\r\n$9999999\r\n", "*1\r\n$5\r\nab", "*1\r\n+a\r\n"} {
		if got, err := newRespReader(strings.NewReader(bad)).request(); err == nil {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
	answers := newRespReader(strings.NewReader("+OK\r\n:42\r\n$-1\r\n$3\r\na\r\n\r\n-ERR no\r\n?\r\n"))
	for _, want := range []string{"OK", "42", "", "a\r\n"} {
		if got, err := answers.answer(); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for _, want := range []string{"the server answers: ERR no", "begins with"} {
		if got, err := answers.answer(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v, want an error with %q", got, err, want)
		}
	}
}

func TestNewestFileIsTheLargestOfOneTick(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	write := func(name string, size int, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []struct {
		name string
		size int
		at   time.Time
		want int64
	}{
		{"b", 4, now, 4},
		{"a", 70, now, 70},
		{"c", 5, now, 70},
		{"d", 3, now.Add(time.Second), 3},
	} {
		write(f.name, f.size, f.at)
		if got, err := newestFile(dir); err != nil || got != f.want {
			t.Errorf("after %s: %d, %v, want %d", f.name, got, err, f.want)
		}
	}
}

// TestMapServerKeepsWhatIsSet sets, saves, and opens what was saved.
func TestMapServerKeepsWhatIsSet(t *testing.T) {
	sockets, err := os.MkdirTemp("", "cowheap-redis-") // short: a socket's name has little room
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	dir := t.TempDir()
	const entries = 1000
	for round, socket := range []string{filepath.Join(sockets, "a"), filepath.Join(sockets, "b")} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serveMap(ctx, socket, dir) }()
		var c *redisClient
		for c == nil {
			select {
			case err := <-ended:
				t.Fatal(err)
			default:
			}
			c, _ = dialRedis(socket) // until it listens
		}
		if round == 0 {
			if err := fillRedis(socket, entries); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(want string, words ...string) {
			t.Helper()
			if got, err := c.do(words...); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v, want %q", words, got, err, want)
			}
		}
		value := make([]byte, entryBytes)
		entryValue(value, 7, 0)
		ask(fmt.Sprint(entries), "DBSIZE")
		ask(string(value), "GET", entryKey(7))
		ask("", "GET", entryKey(entries))
		ask("PONG", "ping")
		if _, err := c.do("FLUSHALL"); err == nil {
			t.Error("a command that it does not know is done")
		}
		if _, err := c.do("SET", "k", strings.Repeat("x", entryBytes+1)); err == nil {
			t.Error("a value that is too long is taken")
		}
		if round == 0 {
			ask("Background saving started", "BGSAVE")
			for {
				info, err := c.do("INFO", "persistence")
				if err != nil || !bytes.Contains(info, []byte("rdb_last_bgsave_status:ok")) {
					t.Fatalf("%s, %v", info, err)
				}
				if bytes.Contains(info, []byte("rdb_bgsave_in_progress:0")) {
					break
				}
			}
			if bytes, err := newestFile(dir); err != nil || bytes < entries*entryBytes {
				t.Errorf("a file of %d bytes, %v", bytes, err)
			}
		}
		c.close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestLoadSetsValuesAtItsRateAndCountsWaiting(t *testing.T) {
	sockets, err := os.MkdirTemp("", "cowheap-redis-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	socket := filepath.Join(sockets, "s")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveMap(ctx, socket, t.TempDir()) }()
	for {
		if c, err := dialRedis(socket); err == nil {
			c.close()
			break
		}
	}
	l := startRedisLoad(socket, 100, 4000)
	l.phase.Store(during)
	for range 20 {
		time.Sleep(time.Millisecond)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	q, err := l.quantiles(during)
	if err != nil || q["p50"] <= 0 || q["p99"] < q["p50"] || q[longest] < q["p99.9"] {
		t.Errorf("%v, %v", q, err)
	}
	if _, err := l.quantiles(after); err == nil {
		t.Error("quantiles of nothing")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	var v []time.Duration
	for i := range 1000 {
		v = append(v, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000, 0.9991: 1000} {
		if got := percentile(v, q); got != want {
			t.Errorf("%v of 1 to 1000 is %d, not %d", q, got, want)
		}
	}
	if got := percentile(v[:1], 0.999); got != 1 {
		t.Errorf("%d of one value", got)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(appendRequest(nil, "SET", "a", "b"))
	f.Add([]byte("*1\r\n$-1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &respReader{r: bufio.NewReader(bytes.NewReader(b))}
		for {
			words, err := r.request()
			if err != nil {
				return
			}
			if len(words) == 0 {
				t.Fatal("a request of no words")
			}
		}
	})
}
