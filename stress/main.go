// Stress runs the tests repeatedly, with the race detector and without, beside busy loops on
// every core, and prints how often each test failed. It stores the log of each failed run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stress:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("stress", flag.ContinueOnError)
	n := flags.Int("n", 5, "how often the tests run, in each mode")
	modes := flags.String("modes", "race,plain", "with the race detector, without, or both")
	busy := flags.Int("busy", runtime.NumCPU(), "busy loops beside the tests")
	logs := flags.String("logs", "", "`directory` for the logs of runs that failed (default: a new one)")
	extra := flags.String("test", "", "more `flags` for go test, with blanks between them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	packages := flags.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	var withRace []bool
	for mode := range strings.SplitSeq(*modes, ",") {
		if mode != "race" && mode != "plain" {
			return fmt.Errorf("-modes: no mode %q; there are race and plain", mode)
		}
		withRace = append(withRace, mode == "race")
	}
	if err := makeLogDir(logs); err != nil {
		return err
	}
	// The loops are threads of this process, so that they always end with it.
	runtime.GOMAXPROCS(*busy + runtime.NumCPU())
	for range *busy {
		go spin()
	}

	all, skips := tally{}, tally{}
	runs := 0
	for i := range *n {
		for _, race := range withRace {
			one, err := once(ctx, race, strings.Fields(*extra), packages)
			if ctx.Err() != nil {
				all.print(out, "failed", runs)
				return errors.New("interrupted")
			}
			if err != nil {
				return err
			}
			runs++
			all.add(one.failed)
			skips.add(one.skipped)
			mode := modeName(race)
			fmt.Fprintf(out, "%s, run %d of %d: %s in %v\n", mode, i+1, *n, one, one.took.Round(time.Second))
			if len(one.failed) == 0 {
				continue
			}
			name := filepath.Join(*logs, fmt.Sprintf("%s-%d.log", mode, i+1))
			if err := os.WriteFile(name, one.log, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(out, "    failed: %s\n    log: %s\n", strings.Join(names(one.failed), ", "), name)
		}
	}
	skips.print(out, "skipped", runs)
	all.print(out, "failed", runs)
	if len(all) > 0 {
		return fmt.Errorf("failures; the logs are in %s", *logs)
	}
	return nil
}

// makeLogDir makes the directory for logs, and names it in dir if that is empty.
func makeLogDir(dir *string) (err error) {
	if *dir == "" {
		*dir, err = os.MkdirTemp("", "jettison-stress-")
		return err
	}
	return os.MkdirAll(*dir, 0o755)
}

func modeName(race bool) string {
	if race {
		return "race"
	}
	return "plain"
}

func spin() {
	var n atomic.Uint64
	for {
		n.Add(1)
	}
}

// once runs the tests one time. Failed tests are no error.
func once(ctx context.Context, race bool, extra, packages []string) (*result, error) {
	args := []string{"test", "-json", "-count=1", "-timeout=30m"}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(append(args, extra...), packages...)...)
	// Its own process group: an interrupt reaches go, the tests and their children, each
	// once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	var complaints strings.Builder
	cmd.Stderr = &complaints
	text, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r, err := read(text)
	ended := cmd.Wait()
	if err != nil {
		return nil, err
	}
	r.took = time.Since(start)
	r.log = append(r.log, complaints.String()...)
	if ended != nil && len(r.failed) == 0 {
		return nil, fmt.Errorf("go test: %w\n%s", ended, complaints.String())
	}
	return r, nil
}
