package source

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cowheap/cowheap"

// most is how large a source file may be, in bytes: what needs more is two nouns.
const most = 25_000

// layers are the packages of the core, the highest first. A package imports only
// what stands after it.
var layers = []string{
	"cowheap", "restore", "checkpoint", "arena",
	"internal/trap", "internal/uffd/uffdtest", "internal/uffd", "internal/vm", "internal/memfile", "internal/block", "internal/gid",
}

// file is a source file of any module of the repository.
type file struct {
	path    string // from the root, with slashes
	size    int64
	imports []string
}

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// files parses the imports of all of them, whatever they are built for.
func files(t *testing.T) (all []file) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), size: info.Size()}
		for _, i := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("found %d files below %s: that is not the repository", len(all), root)
	}
	return all
}

func TestFilesThatImportUnsafeSaySo(t *testing.T) {
	for _, f := range files(t) {
		name := strings.TrimSuffix(strings.TrimSuffix(f.path, ".go"), "_test")
		switch imports, says := slices.Contains(f.imports, "unsafe"), strings.HasSuffix(name, "_unsafe"); {
		case imports && !says:
			t.Errorf("%s imports unsafe: its name must end in _unsafe", f.path)
		case says && !imports:
			t.Errorf("%s does not import unsafe: its name says so", f.path)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range files(t) {
		layer := slices.Index(layers, path.Dir(f.path))
		if layer < 0 || f.isTest() {
			continue
		}
		for _, i := range f.imports {
			below, ours := strings.CutPrefix(i, module+"/")
			if ours && slices.Index(layers, below) <= layer {
				t.Errorf("%s imports %s, which is not below it", f.path, below)
			}
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	for _, f := range files(t) {
		if f.size > most {
			t.Errorf("%s has %d bytes, %d are the most", f.path, f.size, most)
		}
	}
}
