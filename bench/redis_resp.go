package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// The protocol of Redis, as much of it as is needed: requests are arrays of strings, and
// answers are of any simple type.

// longestBulk bounds what is read for one string, in bytes.
const longestBulk = 1 << 20

// errTooLong is of a string that nobody here would send.
var errTooLong = errors.New("a string of more than a mebibyte")

// respReader reads either side of the protocol. What it gives is valid until the next call.
type respReader struct {
	r    *bufio.Reader
	args [][]byte
	buf  []byte
}

func newRespReader(r io.Reader) *respReader {
	return &respReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// line reads up to CRLF: a sign and what follows it.
func (r *respReader) line() (sign byte, rest []byte, err error) {
	line, err := r.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, fmt.Errorf("%q is no line of the protocol", line)
	}
	return line[0], line[1 : len(line)-2], nil
}

// count reads a number after the sign want.
func (r *respReader) count(want byte) (int, error) {
	sign, digits, err := r.line()
	if err != nil {
		return 0, err
	}
	if sign != want {
		return 0, fmt.Errorf("%q where %q was to come", sign, want)
	}
	return strconv.Atoi(string(digits))
}

// bulk appends n bytes and what ends them to what there is, and gives their place.
func (r *respReader) bulk(n int) error {
	if n < 0 || n > longestBulk {
		return errTooLong
	}
	at := len(r.buf)
	r.buf = append(r.buf, make([]byte, n+2)...)
	_, err := io.ReadFull(r.r, r.buf[at:])
	return err
}

// request reads one: its words.
func (r *respReader) request() ([][]byte, error) {
	n, err := r.count('*')
	if err != nil {
		return nil, err
	}
	if n < 1 || n > 16 {
		return nil, fmt.Errorf("a request of %d words", n)
	}
	r.buf, r.args = r.buf[:0], r.args[:0]
	var ends [17]int
	for i := range n {
		length, err := r.count('$')
		if err == nil {
			err = r.bulk(length)
		}
		if err != nil {
			return nil, err
		}
		ends[i+1] = len(r.buf)
	}
	for i := range n { // only now: buf may have moved
		r.args = append(r.args, r.buf[ends[i]:ends[i+1]-2])
	}
	return r.args, nil
}

// answer reads one; that of an error is an error.
func (r *respReader) answer() ([]byte, error) {
	sign, rest, err := r.line()
	if err != nil {
		return nil, err
	}
	switch sign {
	case '+', ':':
		return rest, nil
	case '-':
		return nil, fmt.Errorf("the server answers: %s", rest)
	case '$':
		n, err := strconv.Atoi(string(rest))
		if err != nil || n < 0 {
			return nil, err // nil: no such key
		}
		r.buf = r.buf[:0]
		err = r.bulk(n)
		return r.buf[:max(len(r.buf)-2, 0)], err
	}
	return nil, fmt.Errorf("an answer that begins with %q", sign)
}

// appendRequest is a request of some words.
func appendRequest(b []byte, words ...string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(words)), 10)
	b = append(b, "\r\n"...)
	for _, word := range words {
		b = appendBulk(b, word)
	}
	return b
}

func appendBulk[S string | []byte](b []byte, s S) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, "\r\n"...)
	b = append(b, s...)
	return append(b, "\r\n"...)
}

// redisClient is one connection. One goroutine uses it.
type redisClient struct {
	conn    net.Conn
	r       *respReader
	request []byte
}

func dialRedis(socket string) (*redisClient, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return &redisClient{conn: conn, r: newRespReader(conn)}, nil
}

func (c *redisClient) close() error { return c.conn.Close() }

// do sends a request and waits for its answer, which is valid until the next.
func (c *redisClient) do(words ...string) ([]byte, error) {
	c.request = appendRequest(c.request[:0], words...)
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	return c.r.answer()
}
