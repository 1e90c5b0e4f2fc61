package main

import (
	"io/fs"
	"path/filepath"
	"time"
)

// The case "redis": beside a real Redis, what does a client feel of a save, and what does the save cost?
//
// Two servers are started as processes of their own, and the same client talks the
// protocol of Redis to both over a unix socket: 3 million keys of 16 bytes with
// values of 256 bytes (as many as go into -size at 256 bytes each), then four
// connections that together set 10,000 values a second, keys at random. After two
// seconds the client asks for BGSAVE, and polls INFO until it has ended.
//
//   - redis: redis-server from PATH, alone with its default configuration but for: no
//     saves by itself, no append-only file, no compression of the file (the values are
//     random, and it would cost time only).
//   - cowheap: this program as a server of SET, GET, DBSIZE, BGSAVE and INFO with a
//     cowheap.Map[string, 256 bytes] and a mutex around it; BGSAVE is Heap.Checkpoint.
//
// What is told of each, us, ms or MiB:
//
//   - before/, during/p50, /p99, /p99.9, /longest: what a request takes, from the
//     moment when it was due until its answer, so that requests that wait behind a stall count
//     with all of their waiting (no coordinated omission). Quantiles are of requests.
//   - save: from BGSAVE until INFO says that it has ended. Both sync the file.
//   - file: its size.
//   - memory: proportional set size of the server before the save.
//   - extra/pss: by how much that of the server and its child together was greater at
//     the most, asked twice a second, or by how much the resident memory of the server
//     alone has grown, which the kernel tells exactly. extra/private-dirty: for Redis the private dirty
//     memory of the child at the most, which is what it calls rdb_last_cow_size; for
//     cowheap, which has no child, by how much that of the server has grown.
//
// What is comparable: what clients feel, memory and time of the same data and the same
// writes over the same socket. What is not: Redis is one thread that does more at each
// request (types, expiry, eviction) and takes values of any length, where this server has a fixed
// length, and a mutex; its file is one of entries, from which any version loads a map, where a
// checkpoint is one of pages.
//
// Where there is no redis-server, its variants are skipped and those of cowheap stand alone.

const (
	sideRedis   = "redis"
	sideCowheap = "cowheap"

	// entryBytes of -size stand for one entry.
	entryBytes = 256

	redisConnections = 4
	redisPerSecond   = 10_000
)

// redisFigures are what is told of each side.
var redisFigures = []struct{ name, unit string }{
	{"before/p50", "us"}, {"before/p99", "us"}, {"before/p99.9", "us"}, {"before/longest", "us"},
	{"during/p50", "us"}, {"during/p99", "us"}, {"during/p99.9", "us"}, {"during/longest", "us"},
	{"save", "ms"},
	{"file", "MiB"}, {"memory", "MiB"}, {"extra/pss", "MiB"}, {"extra/private-dirty", "MiB"},
}

func redisCase() *Case {
	c := &Case{
		Name:   "redis",
		About:  "a save under load beside that of a real Redis, as a client feels it",
		Size:   732 * mib, // 3 million entries
		Quick:  8 * mib,
		Rounds: 3,
		Open:   openRedis,
	}
	for _, side := range []string{sideRedis, sideCowheap} {
		for _, f := range redisFigures {
			c.Variants = append(c.Variants, Variant{side + "/" + f.name, f.unit, sideRedis + "/" + f.name})
		}
	}
	return c
}

// newestFile is the size of the file that was changed last under dir: of the largest of those, where several
// were changed within one tick of the file system's clock, as a lock and a small save are.
func newestFile(dir string) (bytes int64, err error) {
	var newest time.Time
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch at := info.ModTime(); {
		case at.After(newest):
			newest, bytes = at, info.Size()
		case at.Equal(newest):
			bytes = max(bytes, info.Size())
		}
		return nil
	})
	return bytes, err
}
