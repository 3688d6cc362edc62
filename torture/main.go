// Torture runs a real wrapp with a real, durable Redis and harms both: kills, stops, cut or
// delayed connections, black holes, deletions. The app writes numbered lines. At the end every
// line is accounted for: none is lost, none comes twice, and they are in order. Only lines that
// wrapp had read in the last moment before its own SIGKILL may be lost, and are counted.
//
//	go run ./torture -seed 7 -for 10m
//
// The same seed does the same things in the same order. With -proof it does only one thing,
// several times while the app writes a million lines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	if dir := os.Getenv(appEnv); dir != "" {
		app(dir)
		return
	}
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what happens, and in which order")
	duration := flag.Duration("for", time.Minute, "how long")
	keep := flag.Bool("keep", false, "leave the directory of the run behind")
	proof := flag.String("proof", "", "rather than anything at random, one of the `PROOFS` "+proofNames()+", or all")
	who := flag.String("second", "", "the second writer: one of `SECONDS` "+secondNames()+", or all; empty: one that the seed chooses")
	times := flag.Int("times", 1, "how often a proof is done, each time with the next seed")
	lines := flag.Int("lines", 1_000_000, "lines of a proof")
	flag.Parse()
	runtime.LockOSThread() // our children die with the thread that started them (Pdeathsig)
	ctx := context.Background()
	if *proof == "" { // a proof that is interrupted proves nothing
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	if err := run(ctx, task{*proof, *who, *times, *lines, *seed, *duration, *keep}); err != nil {
		fmt.Fprintln(os.Stderr, "torture: error:", err)
		os.Exit(1)
	}
}

// A task is the work of one call, from its flags.
type task struct {
	proof, second string // "": random torture; a second writer that the seed chooses
	times, lines  int    // of a proof
	seed          uint64
	duration      time.Duration // of random torture
	keep          bool          // leave the directory behind
}

func run(ctx context.Context, t task) error {
	dir, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return err
	}
	if t.keep {
		fmt.Println("directory:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	up, err := build(ctx, dir, t.seed)
	if err != nil {
		return err
	}
	if t.proof != "" {
		return prove(t.proof, t.second, t.times, up, t.lines)
	}
	seconds, err := secondsOf(t.second, t.seed)
	if err != nil {
		return err
	}
	up.second = seconds[0]
	if len(seconds) > 1 {
		return errors.New("one second writer at a time, please")
	}
	up.block = up.second == shared // a killed wrapp cannot report dropped lines, so none may be dropped
	fmt.Printf("%v, %v\n", up, t.duration)
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.torment(ctx, t.duration); err != nil {
		return err
	}
	if err := r.drain(); err != nil {
		return err
	}
	return r.report()
}

// build builds wrapp in a directory, and returns the setup that all rigs share.
func build(ctx context.Context, dir string, seed uint64) (setup, error) {
	wrapp := filepath.Join(dir, "wrapp")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", wrapp, "github.com/lpportorino/jettison-base-images/cmd/wrapp")
	build.Env = append(os.Environ(), "GOTMPDIR="+dir) // an interrupted go leaves files there
	if text, err := build.CombinedOutput(); err != nil {
		return setup{}, fmt.Errorf("build wrapp: %w\n%s", err, text)
	}
	self, err := os.Executable()
	return setup{dir: dir, wrapp: wrapp, self: self, text: text{seed: seed, width: 120}, entries: entriesKept(seed), second: noSecond}, err
}
