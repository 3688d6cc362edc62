package main

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A stream is the expected content of our stream after a restart of its server.
type stream struct {
	seed    maphash.Seed
	entries []element
	top     entry.ID
	refused int // entries whose IDs were not above top
	lines   map[int]*tally
}

// An element is an entry of the stream.
type element struct {
	id  entry.ID
	sum uint64 // of the message
}

func newStream() *stream {
	return &stream{seed: maphash.MakeSeed(), lines: make(map[int]*tally)}
}

func (s *stream) element(id entry.ID, message string) element {
	return element{id, maphash.String(s.seed, message)}
}

// apply does what a server does with a command from its append-only file.
func (s *stream) apply(args []string) error {
	switch {
	case len(args) < 2 || args[1] != key:
		return nil
	case args[0] == "DEL":
		s.entries, s.top = nil, entry.ID{}
		return nil
	case args[0] != "XADD":
		return nil
	}
	id, message, err := added(args)
	if err != nil {
		return err
	}
	if !s.top.Less(id) {
		s.refused++
		return nil
	}
	s.top = id
	s.entries = append(s.entries, s.element(id, message))
	if run, n, ok := numbered(message); ok {
		tallyOf(s.lines, run).count(n)
	}
	// After an approximate trim (~), Redis writes the exact number of entries that it kept (=).
	if args[2] == "MAXLEN" && args[3] == "=" {
		most, err := strconv.Atoi(args[4])
		if err != nil {
			return fmt.Errorf("no bound: %q", args)
		}
		if n := len(s.entries) - most; n > 0 {
			s.entries = s.entries[n:]
		}
	}
	return nil
}

// added returns the ID and the message of an XADD.
func added(args []string) (id entry.ID, message string, err error) {
	at := slices.Index(args, "message")
	if at < 2 || at+1 >= len(args) {
		return id, "", fmt.Errorf("no entry of ours: %q", args)
	}
	id, err = entry.ParseID(args[at-1])
	return id, args[at+1], err
}

// numbered returns the run and the number of an app's line.
func numbered(message string) (run, n int, ok bool) {
	_, err := fmt.Sscanf(message, "%d %d ", &run, &n)
	return run, n, err == nil
}

// compare fails unless the server has the expected stream.
func (s *stream) compare(c redis.Conn) error {
	from, i := "-", 0
	for {
		reply, err := redis.Values(c.Do("XRANGE", key, from, "+", "COUNT", 10_000))
		if err != nil {
			return err
		}
		for _, one := range reply {
			pair, err := redis.Values(one, nil)
			if err != nil || len(pair) != 2 {
				return fmt.Errorf("XRANGE answered %q, %v", one, err)
			}
			text, _ := redis.String(pair[0], nil)
			fields, err := redis.StringMap(pair[1], nil)
			if err != nil {
				return err
			}
			id, err := entry.ParseID(text)
			if err != nil {
				return err
			}
			if i >= len(s.entries) {
				return fmt.Errorf("after a restart the stream has %s, which is not in the append-only file", text)
			}
			if s.element(id, fields["message"]) != s.entries[i] {
				return fmt.Errorf("after a restart the stream has %s as entry %d, and should have %v", text, i, s.entries[i].id)
			}
			i++
			from = "(" + text
		}
		if len(reply) == 0 {
			break
		}
	}
	if i < len(s.entries) {
		return fmt.Errorf("after a restart the stream has %d entries, and should have %d", i, len(s.entries))
	}
	return nil
}
