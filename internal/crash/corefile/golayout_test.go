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
)

// toolchains are a release of Go for each layout. Those that are not installed come
// from the module cache or a module proxy.
var toolchains = []string{"go1.25.12", "go1.26.8", "go1.27.4"}

// inlinedCalls are what inlined/main.go is in when it dies.
var inlinedCalls = []string{
	"main.(*box).get main.go:8 inlined", "main.inlined main.go:11 inlined", "main.outer main.go:16", "main.main main.go:24",
}

// withoutInlined is the same as far as it is known without the inlined calls.
var withoutInlined = []string{"main.outer :0", "main.main main.go:24"}

// mainFrames are the frames of package main in the thread that crashed.
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

// TestGoReleases crashes a program that was built by each release, on amd64 and arm64.
func TestGoReleases(t *testing.T) {
	t.Parallel()
	const stripped = "-ldflags=-s -w"
	for _, toolchain := range toolchains {
		for _, row := range []struct {
			name, compiler string
			args           []string
		}{
			{"amd64", "go", []string{"-trimpath"}},
			{"amd64, stripped", "go", []string{"-trimpath", stripped}},
			{"amd64, stripped PIE", "go", []string{"-trimpath", stripped, "-buildmode=pie"}},
			{"amd64, linked by gcc", "go cgo", []string{"-trimpath", "-ldflags=-s -w -linkmode=external"}},
			{"arm64", "go arm64", []string{"-trimpath"}},
			{"arm64, stripped", "go arm64", []string{"-trimpath", stripped}},
		} {
			t.Run(toolchain+" "+row.name, func(t *testing.T) {
				t.Parallel()
				exe := compile(t, row.compiler+" "+toolchain, "inlined/main.go", row.args...)
				var c *Core
				if strings.Contains(row.compiler, "arm64") {
					path, root := emulate(t, exe)
					c = openCore(t, path, Options{Executable: exe, Root: root})
				} else {
					c = openCore(t, crash(t, exe), Options{})
				}
				if got := mainFrames(c); !slices.Equal(got, inlinedCalls) {
					t.Errorf("%q, want %q\n%s", got, inlinedCalls, report(t, c))
				}
				if text := report(t, c); strings.Contains(text, "inlined calls are shown only") {
					t.Errorf("the report has a doubt:\n%s", text)
				}
			})
		}
	}
}

// TestGoUnknown crashes programs of a release that is newer than those known, and
// wants no line that may be wrong.
func TestGoUnknown(t *testing.T) {
	t.Parallel()
	for _, toolchain := range toolchains {
		for _, row := range []struct {
			args []string
			want []string
		}{
			{[]string{"-trimpath", "-ldflags=-s -w"}, withoutInlined},
			{[]string{"-trimpath"}, inlinedCalls}, // by DWARF
		} {
			t.Run(fmt.Sprint(toolchain, row.args), func(t *testing.T) {
				t.Parallel()
				exe := compile(t, "go "+toolchain, "inlined/main.go", row.args...)
				program, err := os.ReadFile(exe)
				if err != nil {
					t.Fatal(err)
				}
				newer := "go1.99" + toolchain[len("go1.99"):]
				if !bytes.Contains(program, []byte(toolchain)) {
					t.Fatal("the program does not say its version")
				}
				if err := os.WriteFile(exe, bytes.ReplaceAll(program, []byte(toolchain), []byte(newer)), 0o700); err != nil {
					t.Fatal(err)
				}
				c := openCore(t, crash(t, exe), Options{})
				if got := mainFrames(c); !slices.Equal(got, row.want) {
					t.Errorf("%q, want %q\n%s", got, row.want, report(t, c))
				}
				want := "inlined calls are shown only if it has DWARF: it was built with " + newer + ", which wrapp does not know."
				if text := report(t, c); strings.Count(text, want) != 1 {
					t.Errorf("%q is not once in the report:\n%s", want, text)
				}
			})
		}
	}
}

// TestGoModuleData puts each word of the runtime's module data in the place of the
// one that says where inlined calls are, as if a release had moved it without our
// knowing, and wants each of them recognised.
func TestGoModuleData(t *testing.T) {
	t.Parallel()
	for _, toolchain := range toolchains {
		t.Run(toolchain, func(t *testing.T) {
			t.Parallel()
			exe := compile(t, "go "+toolchain, "inlined/main.go", "-trimpath", "-ldflags=-s -w")
			path := crash(t, exe)
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
			for word := layout.gofunc - 8; word < layout.gofunc+8; word++ {
				if word == layout.gofunc {
					continue
				}
				value, _ := c.word(data.off + word*8)
				changed := patched(t, path, segment.offset+where-segment.addr, le.AppendUint64(nil, value))
				c := openCore(t, changed, Options{})
				if got := mainFrames(c); !slices.Equal(got, withoutInlined) {
					t.Errorf("with word %d: %q, want %q", word, got, withoutInlined)
				}
				if text := report(t, c); !strings.Contains(text, "inlined calls are shown only if it has DWARF: its ") {
					t.Errorf("with word %d there is no doubt in the report", word)
				}
			}
		})
	}
}

// TestGoTextUnknown hides the module data, so that nothing but the section says
// where the code begins. That is wrong where a linker for C has put its own first.
func TestGoTextUnknown(t *testing.T) {
	t.Parallel()
	newest := toolchains[len(toolchains)-1]
	for _, row := range []struct {
		name, compiler, flags string
		want                  []string
	}{
		{"linked by Go", "go " + newest, "-ldflags=-s -w", withoutInlined},
		{"linked by gcc", "go cgo " + newest, "-ldflags=-s -w -linkmode=external", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			exe := compile(t, row.compiler, "inlined/main.go", "-trimpath", row.flags)
			e, err := elf.Open(exe)
			if err != nil {
				t.Fatal(err)
			}
			section := e.Section(".go.module")
			if err := e.Close(); err != nil || section == nil {
				t.Fatal(err, section)
			}
			path := crash(t, exe)
			c := openCore(t, path, Options{})
			m := c.moduleAt(c.auxv[atEntry])
			where := m.Bias + section.Addr
			segment, ok := c.segmentAt(where)
			if !ok {
				t.Fatal("the core has no module data")
			}
			c = openCore(t, patched(t, path, segment.offset+where-segment.addr, make([]byte, 8)), Options{})
			if got := mainFrames(c); !slices.Equal(got, row.want) {
				t.Errorf("%q, want %q\n%s", got, row.want, report(t, c))
			}
		})
	}
}

// patched is a copy of a core with some of its bytes changed.
func patched(t *testing.T, path string, off uint64, with []byte) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[off:], with)
	changed := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(changed, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
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
