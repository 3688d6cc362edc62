// Command crash ends in the way its argument names.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

type server struct{ calls int }

func (s *server) handle(depth int, fail func()) {
	if depth > 0 {
		s.handle(depth-1, fail)
		return
	}
	s.calls++
	fail()
}

func overflow(n int) int { return overflow(n+1) + 1 }

// raced is what two goroutines write to without a lock.
var raced int

func main() {
	debug.SetTraceback(os.Getenv("CRASH_TRACEBACK"))
	fmt.Fprintln(os.Stderr, "ordinary line before: panic: is only a word here")
	fail, ok := map[string]func(){
		"panic": func() { panic("boom") },
		"error": func() { panic(fmt.Errorf("open the store: %w\nand a second line", errors.New("no such file"))) },
		"nested": func() {
			defer func() { panic("second, in a deferred call") }()
			panic("first")
		},
		"repanic": func() {
			defer func() { panic(recover()) }()
			panic("again")
		},
		"nil": func() { var s *server; s.calls++ },
		"goroutine": func() {
			for range 3 {
				go func() { time.Sleep(time.Hour) }()
			}
			time.Sleep(50 * time.Millisecond)
			go func() { panic("in a goroutine") }()
			select {}
		},
		"deadlock": func() { <-make(chan int) },
		"unlock":   func() { new(sync.Mutex).Unlock() },
		"maps": func() {
			m := map[int]int{}
			for range 4 {
				go func() {
					for i := 0; ; i++ {
						m[i%16] = i
					}
				}()
			}
			select {}
		},
		"overflow": func() { debug.SetMaxStack(1 << 20); overflow(0) },
		"sigquit":  func() { syscall.Kill(os.Getpid(), syscall.SIGQUIT); time.Sleep(time.Hour) },
		"sigabrt":  func() { syscall.Kill(os.Getpid(), syscall.SIGABRT); time.Sleep(time.Hour) },
		"printstack": func() {
			defer func() {
				fmt.Fprintf(os.Stderr, "panic: %v\n", recover())
				debug.PrintStack()
				fmt.Fprintln(os.Stderr, "ordinary line after")
			}()
			panic("survived")
		},
		"http": func() {
			log.SetOutput(os.Stderr)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in a handler") }))
			s.Config.ErrorLog = log.Default()
			s.Start()
			r, err := http.Get(s.URL)
			if err == nil {
				io.Copy(io.Discard, r.Body)
			}
			s.Close()
			fmt.Fprintln(os.Stderr, "ordinary line after")
		},
		"race": func() {
			var wait sync.WaitGroup
			for range 2 {
				wait.Add(1)
				go func() { defer wait.Done(); raced++ }()
			}
			wait.Wait()
			fmt.Fprintln(os.Stderr, "ordinary line after")
		},
	}[os.Args[1]]
	if !ok {
		os.Exit(99)
	}
	(&server{}).handle(2, fail)
}
