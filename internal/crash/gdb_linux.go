package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// Bounds of one run of gdb, besides its time.
const (
	gdbOutput  = 1 << 20 // bytes of each stream; gdb is killed when it reaches them
	gdbTooMuch = "it wrote more than 1024 KiB"
	gdbMemory  = 2 << 30 // bytes in RAM
	gdbCPU     = 60      // seconds

	// gdbFrames bounds the frames of each thread: whole stacks of a deep recursion take half a
	// minute and gigabytes. gdbLastFrame begins the line of the last one.
	gdbFrames    = "32"
	gdbLastFrame = "\n#31 "
)

// gdbSettings take effect before any file is loaded. A core and its executable come from a
// faulty or hostile program: gdb must not run scripts in them, open files that they name, or
// take long over them.
var gdbSettings = []string{
	"set auto-load off",
	"set debuginfod enabled off",
	"set source open off", // a source file may be called /etc/shadow
	"set confirm off",
	"set pagination off",
	"set width 0",
	"set style enabled off",
	"set print elements 64",
	"set print repeats unlimited", // so that redact finds a secret
	"set print frame-arguments scalars",
	"set print thread-events off",
}

// Sections of gdb's output; each begins with a line of its own.
const (
	sectionMark      = "@@wrapp:"
	sectionBacktrace = "backtrace"
	sectionRegisters = "registers"
	sectionCode      = "code"
	sectionThreads   = "threads"
	sectionLibraries = "libraries"
	sectionEnd       = "end"
)

// A section begins with the command echo + name + endEcho.
const (
	echo    = `echo \n` + sectionMark
	endEcho = `\n`
)

var (
	// ofCore has the commands for a core, ofProcess those for a living process,
	// which runs on afterwards. The threads come last, because gdb is killed when they
	// are too many. -ascending puts the main thread first, which signHang needs.
	ofCore = []string{
		echo + sectionBacktrace + endEcho, "bt full " + gdbFrames,
		echo + sectionRegisters + endEcho, "info registers",
		echo + sectionCode + endEcho, "x/6i $pc",
		echo + sectionLibraries + endEcho, "info sharedlibrary",
		echo + sectionThreads + endEcho, "thread apply all -s bt " + gdbFrames,
		echo + sectionEnd + endEcho,
	}
	ofProcess = []string{
		echo + sectionLibraries + endEcho, "info sharedlibrary",
		echo + sectionThreads + endEcho, "thread apply all -ascending -s bt " + gdbFrames,
		echo + "goodbye" + endEcho, "detach",
		echo + sectionEnd + endEcho,
	}
)

// A gdb runs gdb as the app's user.
type gdb struct {
	supervisor *process.Supervisor
	user       *process.User
	path       string
}

// findGDB returns nil if there is no gdb on PATH.
func findGDB(supervisor *process.Supervisor, user *process.User) *gdb {
	path, err := exec.LookPath("gdb")
	if err != nil || !filepath.IsAbs(path) {
		return nil
	}
	return &gdb{supervisor: supervisor, user: user, path: path}
}

// core takes the backtrace of a core.
func (g *gdb) core(ctx context.Context, core, executable string) (out string, err error) {
	if !filepath.IsAbs(executable) || !filepath.IsAbs(core) {
		return "", errors.New("the absolute path of the executable or of the core is not known")
	}
	return g.run(ctx, ofCore, executable, core)
}

// attach takes the backtraces of a living process.
func (g *gdb) attach(ctx context.Context, pid int) (out string, err error) {
	return g.run(ctx, ofProcess, "-p", strconv.Itoa(pid))
}

// run runs gdb and returns its output, in which section finds the sections. With an error,
// the output may be incomplete.
func (g *gdb) run(ctx context.Context, commands []string, args ...string) (string, error) {
	all := []string{"-nx", "-nh", "-q", "-batch"}
	for _, s := range gdbSettings {
		all = append(all, "-iex", s)
	}
	for _, c := range commands {
		all = append(all, "-ex", c)
	}
	stdout, stderr, err := g.output(ctx, append(all, args...))
	out := tidy(stdout)
	if err == nil && !strings.Contains(out, "\n"+sectionMark+sectionEnd+"\n") {
		err = errors.New("gdb ended early")
	}
	if err != nil {
		if last := lastLine(stderr); last != "" {
			err = errors.New(err.Error() + ": " + last)
		}
	}
	return out, err
}

// output runs gdb until it exits, ctx ends or a bound is exceeded. It returns at most
// gdbOutput bytes of each stream.
func (g *gdb) output(ctx context.Context, args []string) (stdout, stderr []byte, err error) {
	var outEnd, out, errEnd, errOut *os.File
	null, err := os.Open(os.DevNull)
	if err == nil {
		outEnd, out, err = os.Pipe()
	}
	if err == nil {
		errEnd, errOut, err = os.Pipe()
	}
	defer func() {
		for _, f := range [...]*os.File{null, outEnd, out, errEnd, errOut} {
			f.Close() // harmless for nil and closed files
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	p, err := g.supervisor.Start(process.Command{
		Path: g.path, Argv0: "gdb", Args: args, Dir: "/",
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LC_ALL=C.UTF-8", "TERM=dumb"},
		User:  g.user,
		Stdin: null, Stdout: out, Stderr: errOut,
		StopSignal: syscall.SIGKILL, Tool: true, Confined: true,
	})
	out.Close()
	errOut.Close()
	if err != nil {
		return nil, nil, fmt.Errorf("start gdb: %w", err)
	}
	confine(p.PID())
	full := make(chan struct{}, 2)
	var readers sync.WaitGroup
	read := func(from *os.File, into *[]byte) {
		readers.Go(func() {
			*into, _ = io.ReadAll(io.LimitReader(from, gdbOutput))
			if len(*into) == gdbOutput {
				full <- struct{}{}
			}
		})
	}
	read(outEnd, &stdout)
	read(errEnd, &stderr)
	watch := time.NewTicker(50 * time.Millisecond)
	proc := filepath.Join("/proc", strconv.Itoa(p.PID()))
	why := ""
	for running := true; running && why == ""; {
		select {
		case <-p.Exited():
			running = false
		case <-ctx.Done():
			why = ctx.Err().Error()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why = "it took too long"
			}
		case <-full:
			why = gdbTooMuch
		case <-watch.C:
			if readStatus(proc).number("VmRSS:") > gdbMemory>>10 {
				why = "it needed more than 2048 MiB of memory"
			}
		}
	}
	watch.Stop()
	if why != "" {
		p.Stop()
		<-p.Exited()
	}
	// No process of gdb's group is left that could hold the pipes.
	readers.Wait()
	if why == "" && len(full) > 0 {
		why = gdbTooMuch
	}
	if why != "" {
		err = errors.New("gdb was ended: " + why)
	} else if status := p.Status(); status.ExitCode() != 0 {
		err = errors.New("gdb: " + status.String())
	}
	return stdout, stderr, err
}

// confine limits a tool's resources. Without CAP_SYS_RESOURCE the kernel refuses this for
// another user's process; so callers also bound time and output.
func confine(pid int) {
	for _, l := range [...]struct {
		resource int
		most     uint64
	}{{unix.RLIMIT_CPU, gdbCPU}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_AS, 4 * gdbMemory}} {
		unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}, nil)
	}
	// If memory runs out, the kernel kills the tool before the app's processes.
	os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj"), []byte("1000"), 0)
}

// tidy makes text of gdb's output. It drops everything before the first section: that
// repeats the app's command line, which may hold secrets.
func tidy(out []byte) string {
	var text strings.Builder
	for _, line := range bytes.SplitAfter(out, []byte("\n")) {
		begins := bytes.HasPrefix(line, []byte(sectionMark))
		if begins && text.Len() == 0 {
			text.WriteByte('\n')
		}
		// gdb warns about register sections of newer processors: noise.
		if (begins || text.Len() > 0) && !bytes.Contains(line, []byte(".reg-xstate")) {
			text.WriteString(clean(string(line)))
		}
	}
	return text.String()
}

// section returns gdb's output of one section.
func section(out, name string) string {
	_, rest, _ := strings.Cut(out, "\n"+sectionMark+name+"\n")
	text, _, _ := strings.Cut("\n"+rest, "\n"+sectionMark)
	return strings.Trim(text, "\n")
}

// lastLine returns the last line that is not blank.
func lastLine(b []byte) string {
	text := strings.TrimSpace(string(b))
	line := text[strings.LastIndexByte(text, '\n')+1:]
	return clean(line[:min(len(line), 300)])
}
