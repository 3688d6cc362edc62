package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// appEnv in the environment makes this program the app; its value is a
// directory for what the app notes about itself.
const appEnv = "TORTURE_APP_DIR"

// runEnv is the number of the run.
const runEnv = "TORTURE_RUN"

// app writes lines "RUN NUMBER MILLISECONDS xxx" until SIGTERM. What it has
// written for certain it notes, with the time, in a file.
func app(dir string) {
	var over atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		over.Store(true)
	}()
	run := os.Getenv(runEnv)
	notes, err := os.OpenFile(filepath.Join(dir, "run-"+run), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(notes, "pid %d\n", os.Getpid())
	padding := strings.Repeat("x", 3000)
	out := bufio.NewWriterSize(os.Stdout, 16<<10)
	n := 0
	for !over.Load() {
		now := time.Now().UnixMilli()
		for range 1 + rand.IntN(300) {
			size := rand.IntN(120)
			if rand.IntN(500) == 0 {
				size = rand.IntN(len(padding))
			}
			fmt.Fprintf(out, "%s %d %d %s\n", run, n, now, padding[:size])
			n++
		}
		if out.Flush() != nil {
			return // wrapp is gone
		}
		fmt.Fprintf(notes, "wrote %d %d\n", n, time.Now().UnixMilli())
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	fmt.Fprintf(notes, "ended %d\n", n)
}
