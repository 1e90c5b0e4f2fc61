package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is a directory whose files are indexed.
type tree struct {
	dir   string
	fsys  fs.FS
	paths []string // of the regular files, relative to dir, with slashes
	// unread is why directories are missing from paths.
	unread []error
}

// goSource is the directory with the Go source tree of this machine.
func goSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		root = os.Getenv("GOROOT")
	}
	if root == "" {
		if err == nil {
			err = errors.New("it is empty")
		}
		return "", fmt.Errorf("finding the Go source tree by go env GOROOT: %w; name a tree of text files with -dir", err)
	}
	return filepath.Join(root, "src"), nil
}

// openTree opens dir without listing it.
func openTree(dir string) (*tree, error) {
	// The directory itself may be a symbolic link; those below are not followed.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w; name another with -dir", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w; name another with -dir", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("opening the tree: %s is not a directory; name one with -dir", dir)
	}
	return &tree{dir: dir, fsys: os.DirFS(real)}, nil
}

// list finds the files.
func (t *tree) list(ctx context.Context) error {
	return fs.WalkDir(t.fsys, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && path == ".":
			return fmt.Errorf("listing %s: %w; name another tree with -dir", t.dir, err)
		case err != nil:
			t.unread = append(t.unread, err)
		case d.Type().IsRegular(): // a pipe or a device might never end
			t.paths = append(t.paths, path)
		}
		return nil
	})
}
