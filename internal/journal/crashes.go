package journal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/logstream"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// Crashes are the reports of one app that have the same signature.
type Crashes struct {
	App       string
	Signature string // empty: reports of an older wrapp, which wrote none
	Kind      string // signal, traceback, hang, core
	What      string // WhatHappened in the newest report
	Times     int    // reports, and the crashes that they only count
	First     time.Time
	Last      time.Time
	Builds    []string // the program's last mostBuilds builds, oldest first
	Frame     string   // the app's own topmost function in the newest report; empty: not known
	Newest    entry.ID // the newest report
}

const (
	// reportsAtOnce bounds memory while reports are read: one may have 256 KiB.
	reportsAtOnce = 16

	mostBuilds = 8
	mostWhat   = 80 // bytes
)

// GroupCrashes reads the reports of an app and groups them by signature. The group with the
// newest report comes first.
func GroupCrashes(ctx context.Context, client *redisconn.Client, app string) ([]Crashes, error) {
	groups := make(map[string]*Crashes)
	s := source{app: app, stream: logstream.Crash, key: logstream.Keys(app)[logstream.Crash]}
	for from := "-"; ; {
		entries, err := s.parse(client.Do(ctx, client.B().Xrange().Key(s.key).Start(from).End("+").Count(reportsAtOnce).Build()).AsXRange)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.key, err)
		}
		for i := range entries {
			e := &entries[i]
			signature := e.Field("signature")
			key := signature
			if key == "" {
				key = e.Field("kind") + " " + e.Field("signal")
			}
			g := groups[key]
			if g == nil {
				g = &Crashes{App: app, Signature: signature, First: e.Time()}
				groups[key] = g
			}
			g.add(e)
		}
		if len(entries) < reportsAtOnce {
			break
		}
		from = "(" + entries[len(entries)-1].ID.String()
	}
	list := make([]Crashes, 0, len(groups))
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Crashes) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Signature, b.Signature))
	})
	return list, nil
}

// add counts the next report of the group.
func (g *Crashes) add(e *Entry) {
	g.Last = e.Time()
	count, err := strconv.Atoi(e.Field("count"))
	if err == nil && count > 0 {
		g.Times += count // the entry sums up others and is not a crash itself
	} else {
		g.Times++
	}
	if err == nil && g.Newest != (entry.ID{}) {
		return
	}
	g.Kind, g.Frame, g.Newest = e.Field("kind"), e.Field("frame"), e.ID
	g.What = WhatHappened(e.Field("signal"), string(e.Message))
	if build := e.Field("build"); build != "" && !slices.Contains(g.Builds, build) {
		g.Builds = append(g.Builds, build)
		g.Builds = g.Builds[max(0, len(g.Builds)-mostBuilds):]
	}
}

// WhatHappened returns a report's signal, or else the cause in its first line, shortened to
// mostWhat bytes.
func WhatHappened(signal, message string) string {
	if signal != "" {
		return signal
	}
	line, _, _ := strings.Cut(message, "\n")
	for _, before := range []string{" after a traceback: ", " and went on: ", " hangs: "} {
		if _, what, ok := strings.Cut(line, before); ok {
			line = what
			break
		}
	}
	if len(line) > mostWhat {
		line = strings.ToValidUTF8(line[:mostWhat], "") + "…"
	}
	return line
}

// Field returns the value of one of the entry's Fields; empty if it has none of that name.
func (e *Entry) Field(name string) string {
	for i := 0; i+1 < len(e.Fields); i += 2 {
		if e.Fields[i] == name {
			return e.Fields[i+1]
		}
	}
	return ""
}

// Report returns one report of an app, or nil if it is gone.
func Report(ctx context.Context, client *redisconn.Client, app string, id entry.ID) (*Entry, error) {
	s := source{app: app, stream: logstream.Crash, key: logstream.Keys(app)[logstream.Crash]}
	entries, err := s.parse(client.Do(ctx, client.B().Xrange().Key(s.key).Start(id.String()).End(id.String()).Build()).AsXRange)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.key, err)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return &entries[0], nil
}
