package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A second is the kind of the second writer to our stream.
type second string

const (
	noSecond second = "none"
	light    second = "light"  // a few entries a second
	full     second = "full"   // pipelines, as fast as Redis takes them
	ahead    second = "ahead"  // a few entries a second, now and then an hour ahead of the clock
	twin     second = "twin"   // a wrapp of the same name, with a spool of its own
	shared   second = "shared" // a wrapp of the same name that wants the same spool
)

var seconds = []second{noSecond, light, full, ahead, twin, shared}

func secondNames() string {
	var names []string
	for _, s := range seconds {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// secondsOf returns the second writers of a name, "" for one that the seed chooses.
func secondsOf(name string, seed uint64) ([]second, error) {
	switch {
	case name == "all":
		return seconds, nil
	case name == "":
		return []second{seconds[rand.New(rand.NewPCG(seed, 1)).IntN(len(seconds))]}, nil
	case slices.Contains(seconds, second(name)):
		return []second{second(name)}, nil
	}
	return nil, fmt.Errorf("there is no second writer %q; there are %s", name, secondNames())
}

// A stranger adds entries to our stream, with a connection of its own.
type stranger struct {
	kind   second
	server *server
	budget func() int64 // returns how many entries it may add in all at full speed
	wrote  atomic.Int64 // entries that the stream has taken

	over atomic.Bool
	done chan struct{}
}

func newStranger(kind second, s *server, budget func() int64) *stranger {
	w := &stranger{kind: kind, server: s, budget: budget, done: make(chan struct{})}
	go w.run()
	return w
}

// stop ends the stranger, and waits for that. A pipeline on its way is answered first, so that
// wrote counts what the stream has taken of it.
func (w *stranger) stop() {
	w.over.Store(true)
	<-w.done
}

func (w *stranger) run() {
	defer close(w.done)
	for !w.over.Load() {
		c, err := w.server.dial()
		if err == nil {
			err = w.write(c)
			c.Close()
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Sizes of the stranger's pipelines, and its pause between the light ones.
const (
	fullPipeline  = 200
	lightPipeline = 3
	lightPause    = 200 * time.Millisecond
)

// write writes until the connection breaks.
func (w *stranger) write(c redis.Conn) error {
	for !w.over.Load() {
		count := lightPipeline
		if w.kind == full && w.wrote.Load() < w.budget() {
			count = fullPipeline
		}
		for i := range count {
			id := "*"
			if w.kind == ahead && rand.IntN(10) == 0 {
				id = fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli())
			}
			if err := c.Send("XADD", key, id, "message", fmt.Sprintf("%s %d", other, w.wrote.Load()+int64(i))); err != nil {
				return err
			}
		}
		if err := c.Flush(); err != nil {
			return err
		}
		for range count {
			_, err := c.Receive()
			var reply redis.Error
			switch {
			case err == nil:
				w.wrote.Add(1)
			case !errors.As(err, &reply): // a reply refuses an ID that is not above the newest
				return err
			}
		}
		switch {
		case count == fullPipeline:
		case w.kind == full: // the budget is used up: wait for the apps
			time.Sleep(5 * time.Millisecond)
		default:
			time.Sleep(lightPause)
		}
	}
	return nil
}

// other is the prefix of a stranger's messages.
const other = "other"
