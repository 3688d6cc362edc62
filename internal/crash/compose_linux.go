package crash

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// evidence is what was found of one crash.
type evidence struct {
	at      time.Time // of the crash
	core    *found    // nil: none
	trace   trace
	without string   // why there is no trace
	broken  []string // files that may be its core
	skipped int      // cores before it that were not reported
}

// deathReport is the report of the app's end.
func (w *Watch) deathReport(kind Kind, d *death, e evidence) *Report {
	sig := d.status.Signal()
	r := &Report{Kind: kind, Run: w.opts.Run, PID: w.app.PID(), Signal: sig, ExitCode: d.status.ExitCode()}
	var p page
	switch {
	case sig == syscall.SIGKILL:
		fmt.Fprintf(&p, "%s was killed: SIGKILL; %s\n\n", w.opts.Name, d.oom)
	case sig != 0 && d.block != nil && d.block.Title != "":
		fmt.Fprintf(&p, "%s crashed: %s after %s\n\n", w.opts.Name, describeSignal(sig), d.block.Title)
	case sig != 0:
		fmt.Fprintf(&p, "%s crashed: %s\n\n", w.opts.Name, describeSignal(sig))
	default:
		fmt.Fprintf(&p, "%s ended with exit status %d after a traceback: %s\n\n", w.opts.Name, d.status.ExitCode(), d.block.Title)
	}
	w.life.mu.Lock()
	exe, threads := w.life.exe, w.life.threads
	w.life.mu.Unlock()
	if e.core != nil && e.core.executable != "" {
		exe, threads = e.core.executable, e.core.threads
	}
	p.row("when", "%s, after %s", moment(e.at), span(e.at.Sub(w.began)))
	p.row("run", "%s", w.opts.Run)
	p.row("process", "%d%s%s", r.PID, w.who(), plural(threads, "thread"))
	if sig != 0 {
		w.cause(&p, e.core)
		status := d.status.String()
		if d.stopped {
			status += ", while stopping"
		}
		p.row("status", "%s; wrapp ends with %d", status, r.ExitCode)
	} else {
		p.row("status", "%s", d.status)
	}
	p.row("executable", "%s", executableRow(exe))
	if sig != 0 && sig != syscall.SIGKILL {
		p.row("backtrace", "%s", e.told())
	}
	w.trace(&p, e.trace)
	if d.block != nil {
		p.block("traceback in the output", clean([]byte(d.block.Text)))
	}
	w.output(&p)
	p.block("memory and limits at the end", w.memory(d.status.MaxRSS()))
	w.coreBlock(&p, r, exe, e)
	r.Message = p.message(w.secrets())
	return r
}

// coreReport is the report of a core of another process of the app's tree.
func (w *Watch) coreReport(e evidence) *Report {
	c := e.core
	sig := syscall.Signal(c.signal)
	r := &Report{Kind: Core, Run: w.opts.Run, PID: c.pid, Signal: sig, ExitCode: -1}
	var p page
	name := filepath.Base(c.executable)
	if c.executable == "" {
		name = "a process"
	}
	fmt.Fprintf(&p, "%s, started by %s, crashed: %s\n\n", name, w.opts.Name, describeSignal(sig))
	p.row("when", "%s", moment(c.when))
	p.row("run", "%s", w.opts.Run)
	p.row("process", "%d, child of %d%s", c.pid, c.ppid, plural(c.threads, "thread"))
	w.cause(&p, c)
	p.row("executable", "%s", executableRow(c.executable))
	p.row("backtrace", "%s", e.told())
	if e.skipped > 0 {
		p.row("besides", "%d more processes that %s had started left cores; they are not reported, because they came too fast", e.skipped, w.opts.Name)
	}
	w.trace(&p, e.trace)
	w.output(&p)
	p.block("memory and limits of "+w.opts.Name, w.memory(0))
	w.coreBlock(&p, r, c.executable, e)
	r.Message = p.message(w.secrets())
	return r
}

// skippedReport counts the cores that no report has told of.
func (w *Watch) skippedReport() *Report {
	r := &Report{Kind: Core, Run: w.opts.Run, PID: w.app.PID(), ExitCode: -1}
	r.Message = fmt.Sprintf("%d more processes that %s had started left cores; they are not reported, because they came too fast", w.skipped, w.opts.Name)
	return r
}

// tracebackReport is the report of a traceback that the app has survived.
func (w *Watch) tracebackReport(b heard) *Report {
	r := &Report{Kind: Traceback, Run: w.opts.Run, PID: w.app.PID(), ExitCode: -1}
	var p page
	fmt.Fprintf(&p, "%s wrote a traceback and went on: %s\n\n", w.opts.Name, b.Title)
	p.row("when", "%s, after %s", moment(b.Begun), span(b.Begun.Sub(w.began)))
	p.row("run", "%s", w.opts.Run)
	p.row("process", "%d%s", r.PID, w.who())
	if b.lost > 0 {
		p.row("besides", "%d more tracebacks before it are not reported, because they came too fast", b.lost)
	}
	p.block("traceback in the output", clean([]byte(b.Text)))
	r.Message = p.message(w.secrets())
	return r
}

// told is the row about the backtrace.
func (e *evidence) told() string {
	if e.trace.by != "" {
		return "by " + e.trace.by + ", below"
	}
	return "none: " + e.without
}

// cause writes what the kernel said of the signal.
func (w *Watch) cause(p *page, c *found) {
	if c != nil && c.info.signal != 0 {
		p.row("cause", "%v", c.info)
	}
}

func (w *Watch) trace(p *page, t trace) {
	p.block("backtrace of the crashing thread", t.backtrace)
	p.block("registers", t.registers)
	p.block("code at the crash", t.code)
	p.block("all threads", t.threads)
	title := "backtrace"
	if t.backtrace != "" {
		title += " by wrapp"
	}
	p.block(title, t.raw)
	p.block("libraries", t.libraries)
}

func (w *Watch) output(p *page) {
	lines := w.tail.lines(w.opts.ContextLines)
	if len(lines) > 0 {
		p.block(fmt.Sprintf("the output's last %s", strings.TrimPrefix(plural(len(lines), "line"), ", ")), strings.Join(lines, "\n"))
	}
}

// coreBlock says where the core is and how to open it.
func (w *Watch) coreBlock(p *page, r *Report, exe string, e evidence) {
	c := e.core
	if c == nil {
		p.block("core", strings.Join(e.broken, "\n"))
		return
	}
	var text strings.Builder
	if c.packed != "" {
		r.CoreFile = c.packed
		fmt.Fprintf(&text, "%s, %s when unpacked\nto open it: coredumpctl debug %d", c.packed, size(c.bytes), c.pid)
		p.block("core", text.String())
		return
	}
	fmt.Fprintf(&text, "%s, %s", c.path(), size(c.bytes))
	if c.truncated() {
		fmt.Fprintf(&text, " of %s: it is truncated%s", size(int64(c.size)), whyTruncated(c))
	}
	text.WriteByte('\n')
	for _, remark := range c.remarks {
		text.WriteString(remark + "\n")
	}
	if c.removed {
		text.WriteString("it was removed after the report; crash.keep_core = true keeps it\n")
	} else {
		r.CoreFile = c.path()
		fmt.Fprintf(&text, "to open it: gdb %s %s", exe, c.path())
	}
	p.block("core", text.String())
}

// whyTruncated is a guess.
func whyTruncated(c *found) string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(c.dir, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) < 1<<20 {
		return ", because the disk is full"
	}
	return "; the disk was full, or the limit for cores (ulimit -c) too small"
}

// withoutCore says why there is no core to read.
func (w *Watch) withoutCore(status process.Status) string {
	w.life.mu.Lock()
	core := w.life.limits["Max core file size"]
	w.life.mu.Unlock()
	switch {
	case !w.opts.Core:
		return "no core is looked for because crash.core = false"
	case w.opts.Backtrace == "off":
		return "crash.backtrace is off"
	case w.pattern == nil:
		return w.wrong.Error()
	case !w.pattern.toFile():
		if file := w.finder.packed(w.app.PID()); file != "" {
			return fmt.Sprintf("the core is in systemd-coredump's store, compressed (%s): %v; to open it: coredumpctl debug %d; to have a backtrace here install what unpacks it, or set Compress=no in /etc/systemd/coredump.conf", file, w.packed, w.app.PID())
		}
		return w.pattern.without()
	case hardLimit() == 0:
		return "there is no core because the hard limit for cores is 0; start the container with --ulimit core=-1 (docker, podman), or the service with LimitCORE=infinity (systemd)"
	case core.soft == "0":
		return "there is no core because the app has its own limit for cores (ulimit -c), which is 0"
	}
	places, _ := w.pattern.places(w.life.places())
	if len(places) > 3 {
		places = append(places[:3:3], "…")
	}
	text := fmt.Sprintf("no core was found in %s (kernel.core_pattern is %q)", strings.Join(places, ", "), w.pattern.text)
	if !status.CoreDumped() {
		text += "; the kernel wrote none: that directory must exist where the app runs, have room and be writable for its user; the executable must be readable for it, and its own limit for cores (ulimit -c) not be 0; and of an app that changes its user itself there is a core only with fs.suid_dumpable=1 (sysctl)"
	}
	return text
}

// hardLimit is the limit for cores that nobody here can exceed.
func hardLimit() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil {
		return math.MaxUint64
	}
	return l.Max
}

// memory is what is known of memory and limits, a line each.
func (w *Watch) memory(peak int64) string {
	w.life.mu.Lock()
	memory, limits, group := w.life.memory, w.life.limits, w.life.group
	w.life.mu.Unlock()
	var b strings.Builder
	// What wait says of a process begins with what we had ourselves when we
	// started it.
	ours, _ := readMemory("/proc/self")
	if peak <= int64(ours["VmHWM"])<<10 {
		peak = int64(memory["VmHWM"]) << 10
	}
	if peak > 0 {
		fmt.Fprintf(&b, "peak in RAM %s", size(peak))
	}
	if n := memory["VmRSS"]; n > 0 {
		fmt.Fprintf(&b, "; when last looked at: %s in RAM, %s of address space, %s swapped", size(int64(n)<<10), size(int64(memory["VmSize"])<<10), size(int64(memory["VmSwap"])<<10))
	}
	b.WriteByte('\n')
	if m := group.memory(); m.now >= 0 {
		fmt.Fprintf(&b, "cgroup: %s now", size(m.now))
		if m.peak >= 0 {
			fmt.Fprintf(&b, ", %s at most", size(m.peak))
		}
		if m.limit >= 0 {
			fmt.Fprintf(&b, ", limit %s", size(m.limit))
		} else {
			b.WriteString(", no limit")
		}
		if n, ok := group.kills(); ok {
			fmt.Fprintf(&b, "; out-of-memory kills so far: %d", n)
		}
		b.WriteByte('\n')
	}
	var told []string
	for _, l := range []struct{ name, short string }{
		{"Max core file size", "core"},
		{"Max address space", "address space"},
		{"Max data size", "data"},
		{"Max stack size", "stack"},
		{"Max open files", "open files"},
		{"Max processes", "processes"},
		{"Max cpu time", "CPU time"},
	} {
		if v, ok := limits[l.name]; ok {
			told = append(told, fmt.Sprintf("%s %s (hard %s)", l.short, v.soft, v.hard))
		}
	}
	if len(told) > 0 {
		fmt.Fprintf(&b, "limits: %s\n", strings.Join(told, ", "))
	}
	return b.String()
}

// who is whom the app runs as.
func (w *Watch) who() string {
	u := w.cmd.User
	if u == nil {
		var err error
		if u, err = process.LookupUser(strconv.Itoa(os.Geteuid())); err != nil {
			return ""
		}
	}
	return fmt.Sprintf(", user %s (%d)", u.Name, u.UID)
}

func plural(n int, thing string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", 1 " + thing
	}
	return ", " + strconv.Itoa(n) + " " + thing + "s"
}

func executableRow(path string) string {
	if id := buildID(path); id != "" {
		return path + ", build ID " + id
	}
	return path
}

// moment is local time, as the run markers are, with the offset.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000 -07:00") }

// join puts reasons into one line.
func join(reasons []string) string {
	return strings.Join(slices.Compact(reasons), "; ")
}
