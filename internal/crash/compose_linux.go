package crash

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// evidence is what was found about one crash.
type evidence struct {
	at      time.Time // of the crash
	core    *found    // nil: none
	build   string    // the build ID of the core's executable
	trace   trace
	without string   // why there is no trace, or not all of it
	broken  []string // files that may be its core but cannot be read
	skipped int      // earlier cores that were not reported
}

// appReport begins a report about the app itself.
func (w *Watch) appReport(kind Kind) *Report {
	return &Report{Kind: kind, Run: w.opts.Run, PID: w.app.PID(), ExitCode: -1}
}

// page begins a report's message.
func (w *Watch) page(title, when string) *page {
	p := new(page)
	p.WriteString(title + "\n\n")
	p.row("when", when)
	p.row("run", w.opts.Run)
	return p
}

// moment formats an instant as local time and as time since the app's start.
func (w *Watch) moment(at time.Time) string {
	return moment(at) + ", after " + span(at.Sub(w.began))
}

// process writes the row about the app's process.
func (w *Watch) process(p *page, threads int) {
	p.row("process", strconv.Itoa(w.app.PID())+w.who()+plural(threads, "thread"))
}

// deathReport returns the report of the app's end.
func (w *Watch) deathReport(kind Kind, d *death, e *evidence) *Report {
	sig := d.status.Signal()
	r := w.appReport(kind)
	r.Signal, r.ExitCode = sig, d.status.ExitCode()
	title := w.opts.Name
	switch {
	case sig == syscall.SIGKILL:
		title += " was killed: SIGKILL; " + d.oom
	case sig != 0:
		title += " crashed: " + describeSignal(sig)
		if d.block != nil {
			title += " after " + d.block.Headline()
		}
	default:
		title += " ended with exit status " + strconv.Itoa(r.ExitCode) + " after a traceback: " + d.block.Headline()
	}
	p := w.page(title, w.moment(e.at))
	exe, threads := w.life.program()
	if e.core != nil && e.core.Executable != "" {
		exe, threads = e.core.Executable, e.core.Threads
	}
	build := e.build
	if e.core == nil {
		build = buildID(exe)
	}
	r.Build = shortBuild(build)
	r.Signature = signDeath(sig, d.block, e.trace.frames, exe)
	w.process(p, threads)
	status := d.status.String()
	if sig != 0 {
		cause(p, e.core)
		if d.stopped {
			status += ", while stopping"
		}
		status += "; wrapp ends with " + strconv.Itoa(r.ExitCode)
	}
	p.row("status", status)
	p.row("executable", executableRow(exe, build))
	if sig != 0 && sig != syscall.SIGKILL {
		p.row("backtrace", e.source())
	}
	p.trace(&e.trace)
	if d.block != nil {
		p.block("traceback in the output", clean(d.block.Text))
	}
	w.output(p)
	p.block("memory and limits at the end", w.memory(d.status.MaxRSS()))
	coreBlock(p, r, exe, e)
	return w.finished(r, p)
}

// coreReport returns the report of another process's core in the app's tree.
func (w *Watch) coreReport(e *evidence) *Report {
	c := e.core
	r := w.appReport(Core)
	r.PID, r.Signal = c.PID, syscall.Signal(c.Signal)
	name := filepath.Base(signature.Present(c.Executable))
	if c.Executable == "" {
		name = "a process"
	}
	r.Build = shortBuild(e.build)
	r.Signature = signature.Of(process.SignalName(r.Signal)+" of "+name, signature.Own(e.trace.frames, c.Executable))
	p := w.page(name+", started by "+w.opts.Name+", crashed: "+describeSignal(r.Signal), moment(c.when))
	p.row("process", strconv.Itoa(c.PID)+", child of "+strconv.Itoa(c.PPID)+plural(c.Threads, "thread"))
	cause(p, c)
	p.row("executable", executableRow(c.Executable, e.build))
	p.row("backtrace", e.source())
	if e.skipped > 0 {
		p.row("besides", w.tooFast(e.skipped))
	}
	p.trace(&e.trace)
	w.output(p)
	p.block("memory and limits of "+w.opts.Name, w.memory(0))
	coreBlock(p, r, c.Executable, e)
	return w.finished(r, p)
}

// tooFast states how many cores were not reported.
func (w *Watch) tooFast(cores int) string {
	return strconv.Itoa(cores) + " more processes that " + w.opts.Name + " had started left cores; they are not reported, because they came too fast"
}

// skippedReport returns a report with the number of cores not reported so far.
func (w *Watch) skippedReport() *Report {
	r := w.appReport(Core)
	r.Count = w.skipped
	r.Signature = signature.Of("cores of other processes", nil)
	r.Message = w.tooFast(w.skipped)
	return r
}

// tracebackReport returns the report of a traceback that the app has survived.
func (w *Watch) tracebackReport(b *heard) *Report {
	r := w.appReport(Traceback)
	r.Signature = signature.Of(b.Stack())
	exe, _ := w.life.program()
	r.Build = shortBuild(buildID(exe))
	p := w.page(w.opts.Name+" wrote a traceback and went on: "+b.Headline(), w.moment(b.Begin))
	w.process(p, 0)
	if b.lost > 0 {
		p.row("besides", strconv.Itoa(b.lost)+" more tracebacks before it are not reported, because they came too fast")
	}
	p.block("traceback in the output", clean(b.Text))
	return w.finished(r, p)
}

// source says which tool took the backtrace, and why no tool did, or not all of it.
func (e *evidence) source() string {
	switch {
	case e.trace.by == "":
		return "none: " + e.without
	case e.without != "":
		return "by " + e.trace.by + ", below, incomplete: " + e.without
	}
	return "by " + e.trace.by + ", below"
}

// cause writes the row about the signal's cause, from the core's siginfo.
func cause(p *page, c *found) {
	if c == nil {
		return
	}
	if info := parseSiginfo(c.Siginfo); info.signal != 0 {
		p.row("cause", info.String())
	}
}

func (p *page) trace(t *trace) {
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
		p.block("the output's last "+strings.TrimPrefix(plural(len(lines), "line"), ", "), strings.Join(lines, "\n"))
	}
}

// coreBlock says where the core is and how to open it.
func coreBlock(p *page, r *Report, exe string, e *evidence) {
	c := e.core
	if c == nil {
		p.block("core", strings.Join(e.broken, "\n"))
		return
	}
	if c.packed != "" {
		r.CoreFile = c.packed
		p.block("core", c.packed+", "+size(c.bytes)+" when unpacked\nto open it: coredumpctl debug "+strconv.Itoa(c.PID))
		return
	}
	text := c.path() + ", " + size(c.bytes)
	if c.truncated() {
		text += " of " + size(int64(c.Size)) + ": it is truncated" + whyTruncated(c)
	}
	for _, remark := range c.remarks {
		text += "\n" + remark
	}
	if c.removed {
		text += "\nit was removed after the report; crash.keep_core = true keeps it"
	} else {
		r.CoreFile = c.path()
		text += "\nto open it: gdb " + exe + " " + c.path()
	}
	p.block("core", text)
}

// whyTruncated returns a likely reason, not a certain one.
func whyTruncated(c *found) string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(c.dir, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) < 1<<20 {
		return ", because the disk is full"
	}
	return "; the disk was full, or the limit for cores (ulimit -c) too small"
}

// withoutCore says why there is no core to read.
func (w *Watch) withoutCore(status process.Status) string {
	soft, _ := limit(w.life.seen().limits, "Max core file size")
	switch {
	case !w.opts.Core:
		return "no core is looked for because crash.core = false"
	case w.opts.Backtrace == "off":
		return "crash.backtrace is off"
	case w.pattern == nil:
		return w.wrong.Error()
	case !w.pattern.toFile():
		if file := w.finder.packed(w.app.PID()); file != "" {
			why := "it came too late"
			if w.packed != nil {
				why = w.packed.Error()
			}
			return "the core is in systemd-coredump's store, compressed (" + file + "): " + why + "; to open it: coredumpctl debug " + strconv.Itoa(w.app.PID()) +
				"; to have a backtrace here install the program that unpacks it, or set Compress=no in /etc/systemd/coredump.conf"
		}
		return w.pattern.without()
	case hardLimit() == 0:
		return "there is no core because the hard limit for cores is 0; start the container with --ulimit core=-1 (docker, podman), or the service with LimitCORE=infinity (systemd)"
	case soft == "0":
		return "there is no core because the app has its own limit for cores (ulimit -c), which is 0"
	}
	places := w.pattern.places(w.life.places())
	if len(places) > 3 {
		places = append(places[:3:3], "…")
	}
	text := "no core was found in " + strings.Join(places, ", ") + " (kernel.core_pattern is " + strconv.Quote(w.pattern.text) + ")"
	if !status.CoreDumped() {
		text += "; the kernel wrote none: that directory must exist where the app runs, have room and be writable for its user; that user must be able to read the executable; the app's own limit for cores (ulimit -c) must not be 0; and an app that changes its user itself leaves a core only with fs.suid_dumpable=1 (sysctl)"
	}
	return text
}

// hardLimit returns our hard limit for the size of cores, in bytes: no app that we start
// can exceed it.
func hardLimit() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil {
		return math.MaxUint64
	}
	return l.Max
}

// memory describes memory use, the cgroup and the limits, in a line each. peak is in bytes.
func (w *Watch) memory(peak int64) string {
	seen := w.life.seen()
	kib := func(name string) int64 { return int64(seen.status.number(name)) << 10 }
	// wait4's peak of a process includes our own size at the time of the fork.
	if peak <= int64(readStatus("/proc/self").number("VmHWM:"))<<10 {
		peak = kib("VmHWM:")
	}
	text := ""
	if peak > 0 {
		text = "peak in RAM " + size(peak)
	}
	if n := kib("VmRSS:"); n > 0 {
		text += "; when last looked at: " + size(n) + " in RAM, " + size(kib("VmSize:")) + " of address space, " + size(kib("VmSwap:")) + " swapped"
	}
	text += "\n"
	if m := seen.group.memory(); m.now >= 0 {
		text += "cgroup: " + size(m.now) + " now"
		if m.peak >= 0 {
			text += ", peak " + size(m.peak)
		}
		if m.limit >= 0 {
			text += ", limit " + size(m.limit)
		} else {
			text += ", no limit"
		}
		if n, ok := seen.group.kills(); ok {
			text += "; out-of-memory kills so far: " + strconv.Itoa(n)
		}
		text += "\n"
	}
	before := "limits: "
	for _, name := range [...]string{"core file size", "address space", "data size", "stack size", "open files", "processes", "cpu time"} {
		soft, hard := limit(seen.limits, "Max "+name)
		if soft == "" {
			continue
		}
		switch name {
		case "core file size", "data size", "stack size":
			name, _, _ = strings.Cut(name, " ")
		case "cpu time":
			name = "CPU time"
		}
		text += before + name + " " + soft + " (hard " + hard + ")"
		before = ", "
	}
	return text
}

// who returns the name and UID of the user that the app runs as.
func (w *Watch) who() string {
	u := w.cmd.User
	if u == nil {
		var err error
		if u, err = process.LookupUser(strconv.Itoa(os.Geteuid())); err != nil {
			return ""
		}
	}
	return ", user " + u.Name + " (" + strconv.Itoa(int(u.UID)) + ")"
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

func executableRow(path, build string) string {
	if build != "" {
		return path + ", build ID " + build
	}
	return path
}

// moment formats an instant as local time, like the run markers, with the UTC offset.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000 -07:00") }

// join puts reasons into one line, without adjacent duplicates.
func join(reasons []string) string {
	return strings.Join(slices.Compact(reasons), "; ")
}
