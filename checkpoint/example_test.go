package checkpoint_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/cowheap/cowheap/checkpoint"
)

// state is an arena in a byte slice: 4 MiB with one line of text.
func state(text string) checkpoint.Source {
	m := make([]byte, 4<<20)
	copy(m[3<<20:], text)
	return source{bytes.NewReader(m)}
}

// source has the methods of a snapshot.
type source struct{ *bytes.Reader }

func (s source) Size() int64 { return s.Reader.Size() }

func ExampleWrite() {
	var out bytes.Buffer
	info, err := checkpoint.Write(context.Background(), &out, state("hello"), checkpoint.WriteOptions{
		Roots: []checkpoint.Root{{Name: "greeting", Offset: 3 << 20}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d page of %d bytes is not zero: %d bytes\n", info.Pages, info.Size, out.Len())
	// Output: 1 page of 4194304 bytes is not zero: 16384 bytes
}

func ExampleReader() {
	var stream bytes.Buffer
	if _, err := checkpoint.Write(context.Background(), &stream, state("hello"), checkpoint.WriteOptions{}); err != nil {
		log.Fatal(err)
	}
	r, err := checkpoint.NewReader(&stream)
	if err != nil {
		log.Fatal(err)
	}
	for {
		b, err := r.Next()
		if err == io.EOF {
			break // everything was verified
		}
		if err != nil {
			log.Fatal(err)
		}
		for run := range b.Header.Runs() {
			fmt.Printf("region %d, page %d: %q\n", b.Region, run.Page, b.Pages[run.Rank*4096:][:5])
		}
	}
	// Output: region 1, page 256: "hello"
}

func ExampleOpenImage() {
	f, err := os.CreateTemp("", "checkpoint")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	if _, err := checkpoint.Write(context.Background(), f, state("hello"), checkpoint.WriteOptions{}); err != nil {
		log.Fatal(err)
	}
	f.Close()

	im, err := checkpoint.OpenImage(f.Name())
	if err != nil {
		log.Fatal(err)
	}
	defer im.Close()
	p := make([]byte, 5)
	if _, err := im.ReadAt(p, 3<<20); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, verified: %v\n", p, im.Verify(context.Background(), nil) == nil)
	// Output: hello, verified: true
}

func ExampleStore() {
	path, err := os.MkdirTemp("", "checkpoints")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)

	d, err := checkpoint.OpenStore(path, checkpoint.StoreOptions{Keep: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	for _, text := range []string{"first", "second", "third"} {
		if _, err := d.Save(context.Background(), state(text), checkpoint.WriteOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	infos, _, err := d.List()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(infos), "are kept")

	// A second process, or a second Store, is told who has it.
	_, err = checkpoint.OpenStore(path, checkpoint.StoreOptions{})
	fmt.Println(errors.Is(err, checkpoint.ErrLocked))
	// Output:
	// 2 are kept
	// true
}

// A restore reads everything in try, so that a damaged page makes Latest go on
// to the checkpoint before.
func ExampleStore_Latest() {
	path, err := os.MkdirTemp("", "checkpoints")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)
	d, err := checkpoint.OpenStore(path, checkpoint.StoreOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	var newest checkpoint.Info
	for _, text := range []string{"older", "newer"} {
		if newest, err = d.Save(context.Background(), state(text), checkpoint.WriteOptions{}); err != nil {
			log.Fatal(err)
		}
	}

	// A bit of the newest one's only page turns.
	f, _ := os.OpenFile(newest.Path, os.O_RDWR, 0)
	f.WriteAt([]byte("N"), 8192)
	f.Close()

	im, skipped, err := d.Latest(func(im *checkpoint.Image) error {
		return im.Verify(context.Background(), nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer im.Close()
	p := make([]byte, 5)
	im.ReadAt(p, 3<<20)
	_, isChecksum := errors.AsType[*checkpoint.ChecksumError](skipped[0])
	fmt.Printf("%s, because of a checksum: %v\n", p, isChecksum)
	// Output: older, because of a checksum: true
}
