package corefile

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// toolchains has a release of Go for each layout. Those that are not installed come from the
// module cache or a module proxy.
var toolchains = []string{"go1.25.12", "go1.26.8", "go1.27.4"}

// inlinedCalls are the frames of inlined/main.go at its death.
var inlinedCalls = []string{
	"main.(*box).get main.go:8 inlined", "main.inlined main.go:11 inlined", "main.outer main.go:16", "main.main main.go:24",
}

// withoutInlined are the frames that remain of them if inlined calls are unknown.
var withoutInlined = []string{"main.outer :0", "main.main main.go:24"}

// mainFrames returns the frames of package main in the crashed thread.
func mainFrames(c *Core) []string {
	var all []string
	for _, f := range c.Backtrace(&c.Threads[0], 100) {
		if !strings.HasPrefix(f.Function, "main.") {
			continue
		}
		file := ""
		if f.File != "" {
			file = filepath.Base(f.File)
		}
		text := fmt.Sprintf("%s %s:%d", f.Function, file, f.Line)
		if f.Inlined {
			text += " inlined"
		}
		all = append(all, text)
	}
	return all
}

// TestGoReleases crashes a program built by each release, on amd64 and arm64. Some builds
// are also read as if from an unknown release.
func TestGoReleases(t *testing.T) {
	t.Parallel()
	const stripped = "-ldflags=-s -w"
	for _, toolchain := range toolchains {
		for _, row := range []struct {
			name, compiler string
			args           []string
			unknown        []string // frames for an unknown release; nil: not tested
		}{
			{"amd64", "go", []string{"-trimpath"}, inlinedCalls}, // by DWARF
			{"amd64, stripped", "go", []string{"-trimpath", stripped}, withoutInlined},
			{"amd64, stripped PIE", "go", []string{"-trimpath", stripped, "-buildmode=pie"}, nil},
			{"amd64, linked by gcc", "go cgo", []string{"-trimpath", "-ldflags=-s -w -linkmode=external"}, nil},
			{"arm64", "go arm64", []string{"-trimpath"}, nil},
			{"arm64, stripped", "go arm64", []string{"-trimpath", stripped}, nil},
		} {
			t.Run(toolchain+" "+row.name, func(t *testing.T) {
				t.Parallel()
				exe := compile(t, row.compiler+" "+toolchain, "inlined/main.go", row.args...)
				var path, root string
				if strings.Contains(row.compiler, "arm64") {
					path, root = emulate(t, exe)
				} else {
					path = crash(t, exe)
				}
				c := openCore(t, path, Options{Executable: exe, Root: root})
				if got := mainFrames(c); !slices.Equal(got, inlinedCalls) {
					t.Errorf("%q, want %q\n%s", got, inlinedCalls, report(t, c))
				}
				if text := report(t, c); strings.Contains(text, "inlined calls are shown only") {
					t.Errorf("the report has a doubt:\n%s", text)
				}
				newest := toolchain == toolchains[len(toolchains)-1]
				switch row.name {
				case "amd64, stripped":
					testModuleData(t, toolchain, path)
					if newest {
						testTextUnknown(t, exe, path, withoutInlined)
					}
				case "amd64, linked by gcc":
					if newest {
						testTextUnknown(t, exe, path, nil)
					}
				}
				if row.unknown != nil {
					testUnknown(t, toolchain, exe, row.unknown)
				}
			})
		}
	}
}

// testUnknown crashes a program of a release newer than the known ones, and wants no line
// that may be wrong. It changes the program's file.
func testUnknown(t *testing.T, toolchain, exe string, frames []string) {
	t.Helper()
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	newer := "go1.99" + toolchain[len("go1.99"):]
	if !bytes.Contains(program, []byte(toolchain)) {
		t.Fatal("the program does not say its version")
	}
	if err := redistest.WriteProgram(exe, bytes.ReplaceAll(program, []byte(toolchain), []byte(newer))); err != nil {
		t.Fatal(err)
	}
	c := openCore(t, crash(t, exe), Options{})
	if got := mainFrames(c); !slices.Equal(got, frames) {
		t.Errorf("unknown: %q, want %q\n%s", got, frames, report(t, c))
	}
	want := "inlined calls are shown only if it has DWARF: it was built with " + newer + ", which wrapp does not know."
	if text := report(t, c); strings.Count(text, want) != 1 {
		t.Errorf("%q is not once in the report:\n%s", want, text)
	}
}

// testModuleData overwrites the module data's address of inlined calls with each of its other
// words, as if a release had moved the field, and wants a doubt each time. It changes the core,
// and restores it.
func testModuleData(t *testing.T, toolchain, path string) {
	t.Helper()
	layout, doubt := layoutOf(toolchain)
	if doubt != "" {
		t.Fatal(doubt)
	}
	c := openCore(t, path, Options{})
	m := c.moduleAt(c.auxv[atEntry])
	g := m.goFuncs()
	if g == nil || g.doubt != "" {
		t.Fatalf("%+v", g)
	}
	var data span
	for _, name := range goModuleSections {
		if s := m.file.section(name); s != nil && data.size == 0 {
			data = g.findModule(span{(*memorySource)(c), m.Bias + s.addr, s.size})
		}
	}
	where := data.off + layout.gofunc*8
	segment, ok := c.segmentAt(where)
	if !ok || where-segment.addr >= segment.fileSize {
		t.Fatal("the core has no module data")
	}
	values := make(map[uint64]uint64)
	for word := layout.gofunc - 8; word < layout.gofunc+8; word++ {
		values[word], _ = c.word(data.off + word*8)
	}
	for word := layout.gofunc - 8; word < layout.gofunc+8; word++ {
		if word == layout.gofunc {
			continue
		}
		patch(t, path, segment.offset+where-segment.addr, le.AppendUint64(nil, values[word]))
		c := openCore(t, path, Options{})
		if got := mainFrames(c); !slices.Equal(got, withoutInlined) {
			t.Errorf("with word %d: %q, want %q", word, got, withoutInlined)
		}
		if text := report(t, c); !strings.Contains(text, "inlined calls are shown only if it has DWARF: its ") {
			t.Errorf("with word %d there is no doubt in the report", word)
		}
	}
	patch(t, path, segment.offset+where-segment.addr, le.AppendUint64(nil, values[layout.gofunc]))
}

// testTextUnknown hides the module data, so that only the section gives the code's start.
// That is wrong if a C linker has put its own code first. It changes the core.
func testTextUnknown(t *testing.T, exe, path string, frames []string) {
	t.Helper()
	e, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	section := e.Section(".go.module")
	if err := e.Close(); err != nil || section == nil {
		t.Fatal(err, section)
	}
	c := openCore(t, path, Options{})
	m := c.moduleAt(c.auxv[atEntry])
	where := m.Bias + section.Addr
	segment, ok := c.segmentAt(where)
	if !ok {
		t.Fatal("the core has no module data")
	}
	patch(t, path, segment.offset+where-segment.addr, make([]byte, 8))
	c = openCore(t, path, Options{})
	if got := mainFrames(c); !slices.Equal(got, frames) {
		t.Errorf("without module data: %q, want %q\n%s", got, frames, report(t, c))
	}
}

// patch changes bytes of a core.
func patch(t *testing.T, path string, off uint64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(with, int64(off)); err != nil {
		t.Fatal(err)
	}
}

func TestGoVersionText(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text  string
		known bool
	}{
		{"go1.20.14", false},
		{"go1.21.0", true},
		{"go1.27rc1", true},
		{"go1.27.4 X:greenteagc", true},
		{"go1.26-acme", true},
		{"devel go1.27-abcdef0 Mon Nov 1 10:00:00 2026 +0000", true},
		{"go1.28", false},
		{"go1.28-devel_abcdef0", false},
		{"go2", false},
		{"go1.", false},
		{"go1.99999999999999999999", false},
		{"", false},
		{"go", false},
	} {
		layout, doubt := layoutOf(row.text)
		if (layout != nil) != row.known || (doubt == "") != row.known {
			t.Errorf("%q: %v, %q", row.text, layout, doubt)
		}
	}
}
