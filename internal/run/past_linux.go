package run

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

const (
	// pastEvery is the time between attempts to find out how the run before ended.
	pastEvery = time.Second

	// pastTries bounds the attempts that do not find our first marker, which may have been
	// trimmed away.
	pastTries = 10
)

// A past finds out how the run before ended, if Redis does not know yet, and reports it.
type past struct {
	record *record
	first  string // the time in our first marker
	vain   int    // attempts that did not find that marker
	cfg    *config.Redis
	end    context.CancelFunc
	done   chan struct{} // closed after the report, or when there will be none
}

// readPast asks Redis about the app's past, and whether it has the database of values, in one
// round trip. In a cluster it returns no past, and later asks for it: the start must not wait
// for a node that is away.
func (r *record) readPast(client *redisconn.Client, cfg *config.Redis) (p *fleet.Past, has bool) {
	if client.InCluster() {
		return nil, true
	}
	values, logs := fleet.AskPast(client, r.Name, r.ID)
	valueAnswers, logAnswers, has := client.Visit(context.Background(), cfg.ValuesDB, cfg.LogsDB, values, logs)
	past := fleet.ReadPast(valueAnswers, logAnswers)
	return &past, has
}

// reportPast reports how the run before ended, if it left no end marker: at once if that is
// known, or later if Redis is away or the spool may have the marker. asked is from readPast,
// nil if that failed. left: the spool was not empty.
func (r *record) reportPast(asked *fleet.Past, first string, left bool, cfg *config.Redis) *past {
	p := &past{record: r, first: first, cfg: cfg, end: func() {}, done: make(chan struct{})}
	if asked != nil && asked.Unknown() {
		asked = nil
	}
	if asked != nil && !asked.Open() || asked != nil && !left && asked.Elsewhere(&r.Instance) == "" {
		r.reportLost(asked)
		close(p.done)
		return p
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	go p.later(ctx, asked, left)
	return p
}

func (r *record) reportLost(p *fleet.Past) {
	how, text := p.Lost(&r.Instance, thisHost)
	if how == "" {
		return
	}
	r.mu.Lock()
	r.Before = how
	r.mu.Unlock()
	r.log.Warn(text)
	r.out.Say(logstream.Status, text, "run_before", how)
}

// close ends the attempts; no report comes afterwards.
func (p *past) close() {
	p.end()
	<-p.done
}

// later calls tryReport until that has found out, or the user lacks the right.
func (p *past) later(ctx context.Context, asked *fleet.Past, left bool) {
	defer close(p.done)
	if left {
		asked = nil // the end marker may come out of the spool
	}
	for pause := time.Duration(0); ; pause = pastEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		known, err := p.tryReport(ctx, &asked)
		if known || redisconn.Denied(redisconn.Reply(err)) {
			return
		}
	}
}

// tryReport tries once to report how the run before ended. It fills asked. known: no further
// attempt is needed.
func (p *past) tryReport(ctx context.Context, asked **fleet.Past) (known bool, err error) {
	r := p.record
	if *asked == nil {
		if r.out.Stats().Waiting > 0 {
			return false, nil
		}
		logs, err := redisconn.Dial(ctx, p.cfg, p.cfg.LogsDB)
		if err != nil {
			return false, err
		}
		defer logs.Close()
		found, ok, err := fleet.ReadPastAgain(ctx, logs, &r.Instance, p.first)
		if err != nil && redisconn.Final(err) == "" {
			return false, err // Redis has not answered
		}
		if err != nil || !ok {
			p.vain++
			return p.vain == pastTries, err
		}
		*asked = &found
	}
	if key := (*asked).Elsewhere(&r.Instance); key != "" {
		values, err := redisconn.Dial(ctx, p.cfg, p.cfg.ValuesDB)
		if err != nil {
			return false, err
		}
		defer values.Close()
		if ended, err := fleet.LeaseEnds(ctx, values, key); err != nil || !ended {
			return err == nil, err
		}
	}
	r.reportLost(*asked)
	return true, nil
}

// thisHost answers questions about processes on this host.
var thisHost = fleet.Host{
	Started: func(pid int) (time.Time, bool) {
		started, err := process.Started(pid)
		return started, err == nil && pid > 0 && commOf(strconv.Itoa(pid)) == commOf("self")
	},
	OOM: func(pid int, since time.Time) bool {
		text, err := kernelLog()
		return err == nil && oomKilled(text, pid, strings.TrimSpace(commOf("self")), since, kernelClock())
	},
}

// commOf returns the name of a process, with a line feed, or "" if there is no such process.
func commOf(pid string) string {
	text, _ := os.ReadFile("/proc/" + pid + "/comm")
	return string(text)
}

// mostKernelLog bounds how much of the kernel's log is read, in bytes.
const mostKernelLog = 4 << 20

// kernelLog returns the content of /dev/kmsg. Few containers may read it.
func kernelLog() (string, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var all strings.Builder
	record := make([]byte, 8<<10)
	for all.Len() < mostKernelLog {
		n, err := unix.Read(fd, record)
		switch err {
		case nil:
			all.Write(record[:n])
		case unix.EPIPE, unix.EINTR: // EPIPE: records were overwritten meanwhile
		default:
			return all.String(), nil
		}
	}
	return all.String(), nil
}

// kernelClock returns the time at which the clock of the kernel's log was 0.
func kernelClock() time.Time {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(now.Nano()))
}

// killedLine matches a record of /dev/kmsg: "3,1234,5678901,-;Out of memory: Killed process
// 42 (wrapp) …". The priority's facility is above the lowest three bits.
var killedLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^(\d+),\d+,(\d+),[^;\n]*;.*[Kk]illed process (\d+) \(([^)\n]*)\)`)
})

// oomKilled reports whether the kernel's log has the kill of a process of that ID and name
// after since. zero is from kernelClock. In a container, where wrapp is process 1, the kernel
// has another ID; then the name alone must match.
func oomKilled(text string, pid int, name string, since, zero time.Time) bool {
	for _, m := range killedLine().FindAllStringSubmatch(text, -1) {
		priority, _ := strconv.Atoi(m[1])
		micros, _ := strconv.ParseInt(m[2], 10, 64)
		// Programs can write to the log, too, but not with the kernel's facility, 0.
		if priority>>3 == 0 && m[4] == name && (pid == 1 || m[3] == strconv.Itoa(pid)) && zero.Add(time.Duration(micros)*time.Microsecond).After(since) {
			return true
		}
	}
	return false
}
