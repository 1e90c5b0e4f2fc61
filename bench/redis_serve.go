package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/cowheap"
)

// serveWord is the argument by which this program becomes the server: serve-map SOCKET DIR.
const serveWord = "serve-map"

// entry is a value of the map.
type entry struct {
	Length uint64
	Bytes  [entryBytes]byte
}

// keyspace is the root of the server's heap.
type keyspace struct {
	Entries cowheap.Map[string, entry]
}

// mapServer is a small Redis whose keys are in a heap.
type mapServer struct {
	h      *cowheap.Heap
	root   cowheap.Ref[keyspace]
	mu     sync.Mutex // of the map: one changes it at a time
	saving atomic.Bool
	saved  atomic.Pointer[error] // how the last save ended
}

// serveMap serves until its listener is closed.
func serveMap(ctx context.Context, socket, dir string) (err error) {
	h, err := cowheap.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	s := &mapServer{h: h}
	err = h.Update(func(m *cowheap.Mem) (err error) {
		s.root, err = cowheap.Root[keyspace](m, "keyspace")
		return err
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer conn.Close()
			s.serve(conn) // an error ends the connection, and is the client's to see
		}()
	}
}

// serve answers one connection. Answers are sent when no request is left to be read, so that
// requests that come together are answered together.
func (s *mapServer) serve(conn io.ReadWriter) error {
	r, w := newRespReader(conn), bufio.NewWriterSize(conn, 16<<10)
	for {
		words, err := r.request()
		if err != nil {
			return err
		}
		if _, err := w.Write(s.answer(words)); err != nil {
			return err
		}
		if r.r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

var okAnswer = []byte("+OK\r\n")

// answer does what a request says.
func (s *mapServer) answer(words [][]byte) []byte {
	switch command := strings.ToUpper(string(words[0])); {
	case command == "SET" && len(words) == 3:
		if err := s.set(words[1], words[2]); err != nil {
			return fmt.Appendf(nil, "-ERR %v\r\n", err)
		}
		return okAnswer
	case command == "GET" && len(words) == 2:
		return s.get(words[1])
	case command == "DBSIZE":
		return fmt.Appendf(nil, ":%d\r\n", s.len())
	case command == "BGSAVE":
		return s.save()
	case command == "INFO":
		return appendBulk(nil, s.info())
	case command == "PING":
		return []byte("+PONG\r\n")
	}
	return fmt.Appendf(nil, "-ERR unknown command or wrong number of arguments: %q\r\n", words[0])
}

func (s *mapServer) set(key, value []byte) error {
	if len(value) > entryBytes {
		return fmt.Errorf("a value of %d bytes: this server takes at most %d", len(value), entryBytes)
	}
	return s.h.Update(func(m *cowheap.Mem) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		e, _, err := s.root.Ptr(m).Entries.Slot(m, string(key))
		if err != nil {
			return err
		}
		e.Length = uint64(copy(e.Bytes[:], value))
		return nil
	})
}

func (s *mapServer) get(key []byte) (answer []byte) {
	err := s.h.View(func(m *cowheap.Mem) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer = []byte("$-1\r\n")
		if e := s.root.Ptr(m).Entries.Ptr(m, string(key)); e != nil {
			answer = appendBulk(nil, e.Bytes[:e.Length])
		}
		return nil
	})
	if err != nil {
		return fmt.Appendf(nil, "-ERR %v\r\n", err)
	}
	return answer
}

func (s *mapServer) len() (n int) {
	s.h.View(func(m *cowheap.Mem) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		n = s.root.Ptr(m).Entries.Len()
		return nil
	})
	return n
}

func (s *mapServer) save() []byte {
	if !s.saving.CompareAndSwap(false, true) {
		return []byte("-ERR Background save already in progress\r\n")
	}
	go func() {
		_, err := s.h.Checkpoint(background)
		s.saved.Store(&err)
		s.saving.Store(false)
	}()
	return []byte("+Background saving started\r\n")
}

// info is what is asked of INFO here, under Redis's names.
func (s *mapServer) info() string {
	running, status := 0, "ok"
	if s.saving.Load() {
		running = 1
	}
	if err := s.saved.Load(); err != nil && *err != nil {
		status = "err"
	}
	return fmt.Sprintf("# Persistence\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_bgsave_status:%s\r\n", running, status)
}
