package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// fileHeader is what the start of a checkpoint says.
type fileHeader struct {
	info   Info // without Pages, Blocks and Bytes
	length int64
	crc    uint32
}

// checkInfo verifies what a header is to say.
func checkInfo(info *Info) error {
	if info.Size < 0 || info.Size%block.PageSize != 0 {
		return fmt.Errorf("arena size %d is not a number of whole pages of %d bytes", info.Size, block.PageSize)
	}
	if info.Size > MaxSize {
		return &LimitError{What: "arena size", Got: info.Size, Limit: MaxSize}
	}
	if err := checkParent(info); err != nil {
		return err
	}
	return checkRoots(info)
}

// encodeHeader returns the bytes of the header of a checkpoint whose Info has been
// checked.
func encodeHeader(info *Info) ([]byte, error) {
	meta, err := encodeMetadata(info.Roots)
	if err != nil {
		return nil, fmt.Errorf("encoding metadata: %w", err)
	}
	length := roundUp(hMetadata+int64(len(meta)), headerUnit)
	if length > maxHeader {
		return nil, &LimitError{What: "length of the header (names and layouts of the roots)", Got: length, Limit: maxHeader}
	}
	b := make([]byte, length)
	copy(b[hMagic:], headerMagic)
	binary.LittleEndian.PutUint32(b[hVersion:], FormatVersion)
	binary.LittleEndian.PutUint32(b[hPageSize:], block.PageSize)
	binary.LittleEndian.PutUint32(b[hLength:], uint32(length))
	binary.LittleEndian.PutUint32(b[hMetaLen:], uint32(len(meta)))
	binary.LittleEndian.PutUint64(b[hSize:], uint64(info.Size))
	binary.LittleEndian.PutUint64(b[hTime:], uint64(info.Time.UnixNano()))
	copy(b[hID:], info.ID[:])
	copy(b[hParent:], info.Parent[:])
	if info.Incremental {
		b[hFlags] |= flagIncremental
		binary.LittleEndian.PutUint64(b[hParentLen:], uint64(info.ParentSize))
	}
	if info.Compressed {
		b[hFlags] |= flagCompressed
	}
	if info.Sparse {
		b[hFlags] |= flagSparse
	}
	copy(b[hMetadata:], meta)
	binary.LittleEndian.PutUint32(b[hCRC:], block.CRCWithout(b, hCRC))
	return b, nil
}

// readHeader reads and verifies the header at the start of r, and nothing after
// it. It allocates as much as r gave, at most maxHeader.
func readHeader(r io.Reader, path string) (*fileHeader, error) {
	b := make([]byte, headerUnit)
	if n, err := io.ReadFull(r, b); err != nil {
		if n >= len(headerMagic) && string(b[:len(headerMagic)]) != headerMagic {
			return nil, notCheckpoint(path)
		}
		return nil, readError(path, int64(n), "header", err)
	}
	if string(b[:len(headerMagic)]) != headerMagic {
		return nil, notCheckpoint(path)
	}
	length := int64(binary.LittleEndian.Uint32(b[hLength:]))
	plausible := length >= headerUnit && length <= maxHeader && length%headerUnit == 0
	if plausible && length > headerUnit {
		whole := bytes.NewBuffer(b)
		n, err := io.CopyN(whole, r, length-headerUnit)
		if err != nil {
			if foreign := otherFormat(b, path, true); foreign != nil {
				return nil, foreign
			}
			return nil, readError(path, headerUnit+n, "header", err)
		}
		b = whole.Bytes()
	}
	want := binary.LittleEndian.Uint32(b[hCRC:])
	var got uint32
	if plausible {
		got = block.CRCWithout(b, hCRC)
	}
	damaged := !plausible || got != want
	if err := otherFormat(b, path, damaged); err != nil {
		return nil, err
	}
	if !plausible {
		return nil, corrupt(path, hLength, "the header claims %d bytes", length)
	}
	if damaged {
		return nil, &ChecksumError{Path: path, What: "the header", Want: want, Got: got}
	}
	h, err := parseHeader(b)
	if err != nil {
		return nil, corrupt(path, 0, "%v", err)
	}
	h.info.Path = path
	return h, nil
}

// otherFormat says why a header is not of this format, nil if it is.
func otherFormat(b []byte, path string, damaged bool) error {
	v := binary.LittleEndian.Uint32(b[hVersion:])
	if v == 0 || v > FormatVersion {
		return &VersionError{Path: path, Got: v, Max: FormatVersion, Damaged: damaged}
	}
	if p := binary.LittleEndian.Uint32(b[hPageSize:]); p != block.PageSize {
		return &PageSizeError{Path: path, Got: p, Want: block.PageSize, Damaged: damaged}
	}
	if f := binary.LittleEndian.Uint32(b[hFlags:]) &^ knownFlags; f != 0 {
		return &VersionError{Path: path, Got: v, Max: FormatVersion, Flags: f, Damaged: damaged}
	}
	return nil
}

// parseHeader takes apart a header whose checksum is right: what it says was
// meant, which does not make it sensible.
func parseHeader(b []byte) (*fileHeader, error) {
	h := &fileHeader{length: int64(len(b)), crc: binary.LittleEndian.Uint32(b[hCRC:])}
	metaLen := int64(binary.LittleEndian.Uint32(b[hMetaLen:]))
	if roundUp(hMetadata+metaLen, headerUnit) != h.length {
		return nil, fmt.Errorf("header of %d bytes with metadata of %d", h.length, metaLen)
	}
	if !block.IsZero(b[hReserved:hMetadata]) || !block.IsZero(b[hMetadata+metaLen:]) {
		return nil, errors.New("unused bytes of the header are not zero")
	}
	size := binary.LittleEndian.Uint64(b[hSize:])
	if size > uint64(MaxSize) || size%block.PageSize != 0 {
		return nil, fmt.Errorf("arena of %d bytes", size)
	}
	h.info = Info{
		ID:     [16]byte(b[hID:]),
		Parent: [16]byte(b[hParent:]),
		Time:   time.Unix(0, int64(binary.LittleEndian.Uint64(b[hTime:]))).UTC(),
		Size:   int64(size),

		Incremental: b[hFlags]&flagIncremental != 0,
		ParentSize:  int64(binary.LittleEndian.Uint64(b[hParentLen:])),
		Compressed:  b[hFlags]&flagCompressed != 0,
		Sparse:      b[hFlags]&flagSparse != 0,
	}
	err := checkParent(&h.info)
	if err != nil {
		return nil, err
	}
	if h.info.Roots, err = decodeMetadata(b[hMetadata : hMetadata+metaLen]); err != nil {
		return nil, err
	}
	return h, checkRoots(&h.info)
}

// checkParent verifies what an incremental checkpoint says of its parent.
func checkParent(info *Info) error {
	size := info.ParentSize
	switch {
	case !info.Incremental && size != 0:
		return fmt.Errorf("a full checkpoint has no parent of %d bytes", size)
	case !info.Incremental && info.Sparse:
		return errors.New("a full checkpoint has no sparse blocks")
	case !info.Incremental:
		return nil
	case info.Parent == uuid.Nil:
		return errors.New("an incremental checkpoint has no parent")
	case info.Parent == info.ID:
		return errors.New("an incremental checkpoint is its own parent")
	case size < 0 || size > MaxSize || size%block.PageSize != 0:
		return fmt.Errorf("the parent of an incremental checkpoint has %d bytes", size)
	}
	return nil
}

// checkRoots verifies that names are unique and every reference points
// somewhere, so that whoever walks a layout need not.
func checkRoots(info *Info) error {
	seen := make(map[string]bool, len(info.Roots))
	for _, r := range info.Roots {
		if seen[r.Name] {
			return fmt.Errorf("two roots are called %q", r.Name)
		}
		seen[r.Name] = true
		if r.Offset >= uint64(info.Size) {
			return fmt.Errorf("root %q at %#x is outside the arena of %#x bytes", r.Name, r.Offset, info.Size)
		}
		in := func(i, least int) bool { return i >= least && i < len(r.Layout) }
		for _, t := range r.Layout {
			if t.Size < 0 || t.Len < 0 || !in(t.Elem, -1) || !in(t.Key, -1) {
				return fmt.Errorf("root %q: type %q has size %d, length %d, element %d, key %d of %d types",
					r.Name, t.Name, t.Size, t.Len, t.Elem, t.Key, len(r.Layout))
			}
			for _, f := range t.Fields {
				if !in(f.Type, 0) || f.Offset < 0 {
					return fmt.Errorf("root %q: field %q of %q is type %d of %d, at %d", r.Name, f.Name, t.Name, f.Type, len(r.Layout), f.Offset)
				}
			}
		}
	}
	return nil
}

// notCheckpoint is the error of a file that is something else.
func notCheckpoint(path string) error {
	return corrupt(path, hMagic, "no checkpoint starts here")
}

// corrupt is a FormatError that is ErrCorrupt.
func corrupt(path string, off int64, format string, args ...any) error {
	return &FormatError{Path: path, Offset: off, Reason: fmt.Sprintf(format, args...), Err: ErrCorrupt}
}

// truncated is a FormatError that is ErrTruncated.
func truncated(path string, off int64, format string, args ...any) error {
	return &FormatError{Path: path, Offset: off, Reason: fmt.Sprintf(format, args...), Err: ErrTruncated}
}

// readError tells an end that comes too early from a device that fails.
func readError(path string, off int64, what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return truncated(path, off, "the bytes end in the %s", what)
	}
	return &ReadError{Path: path, Offset: off, Err: err}
}
