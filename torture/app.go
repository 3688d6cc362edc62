package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Environment of this program as the app.
const (
	appEnv   = "TORTURE_APP_DIR" // makes it the app: a directory for its progress file
	runEnv   = "TORTURE_RUN"     // the number of the run
	textEnv  = "TORTURE_TEXT"    // the text to write
	leashEnv = "TORTURE_LEASH"   // the leash's socket; without it the app writes until SIGTERM
)

// app writes the lines of a run, and records in the progress file how many it has written.
func app(dir string) {
	run, _ := strconv.Atoi(os.Getenv(runEnv))
	var t text
	if _, err := fmt.Sscan(os.Getenv(textEnv), &t.seed, &t.width); err != nil {
		fmt.Fprintln(os.Stderr, textEnv+":", err)
		os.Exit(1)
	}
	progress, err := os.OpenFile(filepath.Join(dir, "run-"+strconv.Itoa(run)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(progress, "pid %d\n", os.Getpid())
	w := &writer{text: t, run: run, out: bufio.NewWriterSize(os.Stdout, 16<<10)}
	if socket := os.Getenv(leashEnv); socket != "" {
		os.Exit(followLeash(w, socket))
	}
	roam(w, progress)
}

// roam writes at its own pace until SIGTERM.
func roam(w *writer, progress *os.File) {
	var over atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		over.Store(true)
	}()
	for !over.Load() {
		if w.write(1+rand.IntN(300)) != nil {
			return // wrapp is gone
		}
		fmt.Fprintf(progress, "wrote %d %d\n", w.n, time.Now().UnixMilli())
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	fmt.Fprintf(progress, "ended %d\n", w.n)
}

// followLeash follows commands from the socket, "write UPTO" and "exit STATUS", and reports its
// progress there.
func followLeash(w *writer, socket string) (status int) {
	leash, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer leash.Close()
	for commands := bufio.NewScanner(leash); commands.Scan(); {
		var upto int
		if _, err := fmt.Sscanf(commands.Text(), "exit %d", &status); err == nil {
			return status
		}
		if _, err := fmt.Sscanf(commands.Text(), "write %d", &upto); err != nil {
			return 1
		}
		for w.n < upto {
			if w.write(min(250, upto-w.n)) != nil {
				return 1
			}
			fmt.Fprintf(leash, "at %d\n", w.n)
		}
	}
	return 1
}

// A writer writes the lines of one run.
type writer struct {
	text
	run, n int
	out    *bufio.Writer
}

// write writes the next count lines.
func (w *writer) write(count int) error {
	for range count {
		w.out.Write(append(w.line(w.out.AvailableBuffer(), w.run, w.n), '\n'))
		w.n++
	}
	return w.out.Flush()
}

// A text determines what the apps write: every byte of a line follows from the text, the run
// and the line's number.
type text struct {
	seed  uint64
	width int // most lines are shorter, in bytes
}

// noise has random bytes, except those that mean something to wrapp.
var noise = func() []byte {
	random := rand.New(rand.NewPCG(1, 1))
	bytes := make([]byte, 1<<16)
	for i := range bytes {
		for {
			b := byte(random.UintN(256))
			if b >= ' ' && b != '{' && b != '}' && b != '|' && b != '<' && b != '>' {
				bytes[i] = b
				break
			}
		}
	}
	return bytes
}()

// line appends line n of a run to b: "RUN N BYTES".
func (t text) line(b []byte, run, n int) []byte {
	b = strconv.AppendInt(b, int64(run), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ' ')
	// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
	x := t.seed + (uint64(run)<<40+uint64(n))*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	size := int(x>>32&0xffff) % t.width
	if x>>48%500 == 0 {
		size = int(x>>32&0xffff) % 3000
	}
	at := int(x&0xffff) % (len(noise) - 4000)
	return append(b, noise[at:at+size]...)
}
