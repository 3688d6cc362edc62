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
	gdbOutput = 1 << 20 // bytes: what comes later is not read
	gdbMemory = 2 << 30 // bytes in RAM
	gdbCPU    = 60      // seconds
	gdbFrames = 32      // of each thread
)

// gdbSettings are given before any file is loaded. A core and its executable come
// from a program that went wrong, or worse, and gdb must not run what they
// bring, open what they name, or take long over them.
var gdbSettings = []string{
	"set auto-load off",
	"set debuginfod enabled off",
	"set source open off", // a source file may be called /etc/shadow
	"set confirm off",
	"set pagination off",
	"set width 0",
	"set style enabled off",
	"set backtrace limit 128", // whole stacks of a deep recursion take half a minute and gigabytes
	"set print elements 64",
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

func begin(name string) string { return "echo \\n" + sectionMark + name + "\\n" }

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
	return &gdb{supervisor, user, path}
}

// core takes the backtrace of a core.
func (g *gdb) core(ctx context.Context, core, executable string) (sections map[string]string, err error) {
	if !filepath.IsAbs(executable) || !filepath.IsAbs(core) {
		return nil, errors.New("the executable or the core is not known by its whole path")
	}
	return g.run(ctx, []string{
		begin(sectionBacktrace), "bt full " + strconv.Itoa(gdbFrames),
		begin(sectionRegisters), "info registers",
		begin(sectionCode), "x/6i $pc",
		begin(sectionThreads), "thread apply all -s bt " + strconv.Itoa(gdbFrames),
		begin(sectionLibraries), "info sharedlibrary",
	}, executable, core)
}

// attach takes the backtraces of a living process, which goes on afterwards.
func (g *gdb) attach(ctx context.Context, pid int) (sections map[string]string, err error) {
	return g.run(ctx, []string{
		begin(sectionThreads), "thread apply all -s bt " + strconv.Itoa(gdbFrames),
		begin(sectionLibraries), "info sharedlibrary",
		begin("goodbye"), "detach",
	}, "-p", strconv.Itoa(pid))
}

// run runs gdb and returns its output by sections. They may be there, as far as
// they came, even if there is an error.
func (g *gdb) run(ctx context.Context, commands []string, args ...string) (map[string]string, error) {
	all := []string{"-nx", "-nh", "-q", "-batch"}
	for _, s := range gdbSettings {
		all = append(all, "-iex", s)
	}
	for _, c := range append(commands, begin(sectionEnd)) {
		all = append(all, "-ex", c)
	}
	stdout, stderr, err := g.output(ctx, append(all, args...))
	sections := split(stdout)
	if _, ended := sections[sectionEnd]; err == nil && !ended {
		err = errors.New("gdb ended early")
	}
	if err != nil {
		if last := lastLine(stderr); last != "" {
			err = fmt.Errorf("%w: %s", err, last)
		}
	}
	return sections, err
}

// output runs gdb to its end, or to that of ctx or of one of its bounds, and
// returns the beginning of what it wrote.
func (g *gdb) output(ctx context.Context, args []string) (stdout, stderr []byte, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers sync.WaitGroup
	var ends []*os.File
	defer func() {
		for _, f := range ends {
			f.Close()
		}
	}()
	pipe := func(into *[]byte, limit int64) (*os.File, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ends = append(ends, r)
		readers.Go(func() {
			*into, _ = io.ReadAll(io.LimitReader(r, limit))
			if int64(len(*into)) == limit {
				cancel(fmt.Errorf("it wrote more than %d KiB", limit>>10))
			}
		})
		return w, nil
	}
	out, err := pipe(&stdout, gdbOutput)
	if err != nil {
		return nil, nil, err
	}
	defer out.Close()
	errOut, err := pipe(&stderr, gdbOutput)
	if err != nil {
		out.Close()
		readers.Wait()
		return nil, nil, err
	}
	defer errOut.Close()

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
		readers.Wait()
		return nil, nil, fmt.Errorf("start gdb: %w", err)
	}
	confine(p.PID())
	watch := time.NewTicker(50 * time.Millisecond)
	defer watch.Stop()
	for running := true; running; {
		select {
		case <-p.Exited():
			running = false
		case <-ctx.Done():
			p.Stop()
			<-p.Exited()
			running = false
		case <-watch.C:
			if memory, _ := readMemory(filepath.Join("/proc", strconv.Itoa(p.PID()))); memory["VmRSS"] > gdbMemory>>10 {
				cancel(fmt.Errorf("it needed more than %d MiB of memory", gdbMemory>>20))
			}
		}
	}
	// Nobody of its group is left that could hold the pipes.
	readers.Wait()
	if ctx.Err() != nil {
		why := context.Cause(ctx)
		if errors.Is(why, context.DeadlineExceeded) {
			why = errors.New("it took too long")
		}
		return stdout, stderr, fmt.Errorf("gdb was ended: %w", why)
	}
	if status := p.Status(); status.ExitCode() != 0 {
		return stdout, stderr, fmt.Errorf("gdb: %v", status)
	}
	return stdout, stderr, nil
}

// confine bounds what gdb may use. The kernel does not let us bound another
// user's process without CAP_SYS_RESOURCE; time, memory and output are watched as
// well.
func confine(pid int) {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_CPU: gdbCPU, unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0,
		unix.RLIMIT_AS: 4 * gdbMemory,
	} {
		unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
	}
	// If memory is short, it is gdb that goes, and not the app's other processes.
	os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj"), []byte("1000"), 0)
}

// split takes gdb's output apart. What stands before the first section repeats the
// command line of the app, which may have secrets in it, and is left out.
func split(out []byte) map[string]string {
	texts := make(map[string]*strings.Builder)
	var text *strings.Builder
	for line := range bytes.Lines(out) {
		if name, ok := bytes.CutPrefix(line, []byte(sectionMark)); ok {
			text = new(strings.Builder)
			texts[strings.TrimSpace(string(name))] = text
		} else if text != nil && !bytes.Contains(line, []byte(".reg-xstate")) {
			// What is left out is gdb's surprise at what newer processors have.
			text.WriteString(clean(line))
		}
	}
	sections := make(map[string]string)
	for name, text := range texts {
		sections[name] = strings.Trim(text.String(), "\n")
	}
	return sections
}

// lastLine is the last line that says something.
func lastLine(b []byte) string {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	line := lines[len(lines)-1]
	return clean(line[:min(len(line), 300)])
}
