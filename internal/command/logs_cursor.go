package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/journal"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// saveEvery is how often the cursor file is written.
const saveEvery = time.Second

// A shipment is one `wrapp logs --cursor`: it prints the entries after the places in the
// cursor file, and moves the places past what it has printed.
type shipment struct {
	*logsQuery
	names   []string
	places  *journal.Places
	reader  *journal.Reader // reader: nil before begin, and after Redis was away
	joiner  *journal.Joiner
	printer *journal.Printer
	stdout  *os.File
	log     *slog.Logger

	scanned, saved time.Time
	moved          bool                   // moved: the places have moved since saved
	gaps           map[string]journal.Gap // gaps: not reported yet, by stream
	denied, failed bool                   // denied, failed: the user was told
}

// checkCursor refuses flags that contradict --cursor.
func (q *logsQuery) checkCursor(fs *pflag.FlagSet) error {
	for _, name := range []string{"after", "lines", "run", "since", "until"} {
		if q.cursor != "" && fs.Changed(name) {
			return &usageError{"--cursor goes on where it ended, and --" + name + " begins or ends elsewhere", "leave one of them out"}
		}
	}
	return nil
}

// cursorError returns the error for a cursor file, with the way out.
func cursorError(file string, err error) error {
	hint := "give a file in a directory that this user may write to"
	switch {
	case errors.Is(err, journal.ErrPlacesInUse):
		hint = "end that one, or give each a file of its own"
	case errors.Is(err, journal.ErrNoPlaces):
		hint = "put a good copy in its place, or remove it to begin with all that the streams have"
	case errors.Is(err, os.ErrNotExist):
		hint = "wrapp logs --cursor makes it, in a directory that is there"
	}
	return &usageError{fmt.Sprintf("cursor %s: %v", file, err), hint}
}

// ship prints the entries after the cursor. With --follow it waits while Redis is away, also
// at the start: it may be started before Redis.
func (q *logsQuery) ship(ctx context.Context, cfg *config.Config, names []string, printer *journal.Printer, log *slog.Logger, stdout *os.File) error {
	places, err := journal.OpenPlaces(q.cursor)
	if err != nil {
		return cursorError(q.cursor, err)
	}
	defer places.Close()
	if err := endLine(stdout); err != nil {
		return err
	}
	s := &shipment{logsQuery: q, names: names, places: places, printer: printer, log: log, stdout: stdout, gaps: make(map[string]journal.Gap)}
	defer s.save()
	if q.follow {
		return quiet(q.tail(ctx, cfg, nil, log, func(client *redisconn.Client) (away, err error) {
			_, away, err = s.step(ctx, client)
			return away, err
		}))
	}
	client, err := redisconn.Dial(ctx, &cfg.Redis, cfg.Redis.LogsDB)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		more, away, err := s.step(ctx, client)
		if !more || away != nil || err != nil {
			return cmp.Or(away, quiet(err))
		}
	}
}

// step prints the entries of Next. more says that there were any; away and output are the
// errors of Redis and of the output.
func (s *shipment) step(ctx context.Context, client *redisconn.Client) (more bool, away, output error) {
	defer func() {
		if away != nil {
			s.reader = nil
			s.save()
		}
	}()
	if s.reader == nil || s.all && time.Since(s.scanned) >= rescan {
		if err := s.begin(ctx, client); err != nil {
			return false, err, nil
		}
	}
	entries, err := s.reader.Next(ctx, client)
	if err != nil {
		return false, err, nil
	}
	gaps, err := s.reader.Number(ctx, client, entries)
	if err != nil {
		return false, err, nil
	}
	for _, g := range gaps {
		g.Entries += s.gaps[g.Key].Entries
		s.gaps[g.Key] = g
	}
	if err := s.printer.Print(s.filter.Select(s.joiner.Add(entries))); err != nil {
		return false, nil, err
	}
	s.moved = s.places.Advance(s.reader, s.joiner) || s.moved
	if time.Since(s.saved) >= saveEvery {
		s.save()
	}
	return len(entries) > 0, nil, nil
}

// begin adds new apps to the reader. After Redis was away it makes a new one at the places.
func (s *shipment) begin(ctx context.Context, client *redisconn.Client) error {
	if s.all {
		var err error
		if s.names, err = journal.Names(ctx, client); err != nil {
			return err
		}
		s.scanned = time.Now()
	}
	names := s.names
	if s.reader != nil {
		names = s.reader.Unknown(names)
	}
	anew, err := s.places.Check(ctx, client, names...)
	if err != nil {
		return err
	}
	for _, g := range anew {
		s.gaps[g.Key] = g
	}
	if s.reader == nil {
		s.joiner = &journal.Joiner{Pieces: s.output == journal.Raw}
		s.reader = journal.NewReader()
		s.reader.Places, s.reader.Wait = s.places, saveEvery
		if !s.follow {
			s.reader.Wait = time.Millisecond
		}
	}
	s.reader.Add(names...)
	return nil
}

// save first reports the gaps and then writes the file, so that no gap goes unreported.
func (s *shipment) save() {
	s.saved = time.Now()
	for _, key := range slices.Sorted(maps.Keys(s.gaps)) {
		s.reportGap(s.gaps[key])
	}
	clear(s.gaps)
	if !s.moved {
		return
	}
	s.stdout.Sync() // fails without harm if it is no file
	if err := s.places.Save(); err != nil {
		if !s.failed {
			s.log.Warn("cursor is not saved; lines printed since then will come again after a restart", "file", s.cursor, "error", err)
		}
		s.failed = true
		return
	}
	if s.failed {
		s.log.Info("cursor is saved again", "file", s.cursor)
	}
	s.moved, s.failed = false, false
}

func (s *shipment) reportGap(g journal.Gap) {
	const trimmed = "entries were trimmed before they were read"
	switch {
	case g.Denied:
		if !s.denied {
			s.log.Warn("user may not XINFO STREAM, so nothing warns of entries that are trimmed before they are read; give it +xinfo|stream")
		}
		s.denied = true
	case g.Anew:
		s.log.Warn("stream was deleted and begun anew; its unread entries are gone", "stream", g.Key)
	case g.Entries == 0:
		s.log.Warn("entries may have been trimmed before they were read; this Redis does not count them", "stream", g.Key)
	case g.About:
		s.log.Warn(trimmed+", or deleted", "stream", g.Key, "entries", g.Entries)
	default:
		s.log.Warn(trimmed, "stream", g.Key, "entries", g.Entries)
	}
}

// endLine writes a line end if stdout is a file whose last line was cut off.
func endLine(stdout *os.File) error {
	info, err := stdout.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	last := make([]byte, 1)
	if f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", stdout.Fd())); err == nil {
		defer f.Close()
		f.ReadAt(last, info.Size()-1)
	}
	if last[0] != '\n' { // also if the file cannot be read: an empty line does no harm
		_, err = stdout.Write([]byte{'\n'})
	}
	return err
}
