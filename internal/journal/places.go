package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Place is how far a reader has come in a stream.
type Place struct {
	ID    entry.ID // the last entry that was read
	Count int64    // entries ever added to the stream, up to and with ID; -1: not known
}

// Places is the content of a cursor file: the Place in each stream, by the stream's key. A
// stream without a Place is read from its first entry.
type Places struct {
	file string
	lock *os.File
	at   map[string]Place
}

// savedPlaces is the file's format.
type savedPlaces struct {
	Version int                   `json:"version"`
	Streams map[string]savedPlace `json:"streams"`
}

type savedPlace struct {
	ID    string `json:"id"`
	Count *int64 `json:"entries,omitempty"`
}

const placesVersion = 1

// mostLinks is how many symbolic links Linux follows in one path.
const mostLinks = 40

// ErrPlacesInUse says that another process writes the cursor file.
var ErrPlacesInUse = errors.New("another wrapp logs uses it")

// ErrNoPlaces says that a file is no cursor file, or a damaged one.
var ErrNoPlaces = errors.New("not a cursor that this wrapp can read")

// ReadPlaces reads a cursor file.
func ReadPlaces(file string) (*Places, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var saved savedPlaces
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPlaces, err)
	}
	if saved.Version != placesVersion {
		return nil, fmt.Errorf("%w: its version is %d, not %d", ErrNoPlaces, saved.Version, placesVersion)
	}
	p := &Places{file: file, at: make(map[string]Place)}
	for key, s := range saved.Streams {
		id, err := entry.ParseID(s.ID)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNoPlaces, key, err)
		}
		place := Place{ID: id, Count: -1}
		if s.Count != nil {
			place.Count = *s.Count
		}
		p.at[key] = place
	}
	return p, nil
}

// OpenPlaces reads or begins a cursor file and locks it until Close. It writes the file once,
// to show that it can. Of a symbolic link it replaces the file that the link names.
func OpenPlaces(file string) (*Places, error) {
	for range mostLinks {
		to, err := os.Readlink(file)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = file[:strings.LastIndexByte(file, '/')+1] + to
		}
		file = to
	}
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrPlacesInUse
	}
	p := &Places{file: file, at: make(map[string]Place)}
	if err == nil {
		var old *Places
		if old, err = ReadPlaces(file); err == nil {
			p = old
		} else if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = p.Save()
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	p.lock = lock
	return p, nil
}

// Close unlocks the file.
func (p *Places) Close() { p.lock.Close() }

// Save replaces the file. After a failure the old one is still there.
func (p *Places) Save() error {
	saved := savedPlaces{placesVersion, make(map[string]savedPlace)}
	for key, place := range p.at {
		if !utf8.ValidString(key) {
			continue // JSON would change the key; such a stream is read again
		}
		s := savedPlace{ID: place.ID.String()}
		if place.Count >= 0 {
			s.Count = &place.Count
		}
		saved.Streams[key] = s
	}
	text, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(p.file+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), p.file)
}

// of returns the Place in a stream. A nil Places has none.
func (p *Places) of(key string) Place {
	if p == nil {
		return Place{}
	}
	return p.at[key]
}

// Check forgets the Places whose entry the stream has never had: the stream was deleted and
// begun anew. It returns a Gap for each.
func (p *Places) Check(ctx context.Context, client *redisconn.Client, names ...string) ([]Gap, error) {
	r := NewReader(names...)
	states, err := r.inspect(ctx, client)
	if err != nil {
		return nil, err
	}
	var gaps []Gap
	for i := range r.sources {
		key := r.sources[i].key
		if states[i].exists && states[i].last.Less(p.of(key).ID) {
			delete(p.at, key)
			gaps = append(gaps, Gap{Key: key, Anew: true})
		}
	}
	return gaps, nil
}

// Advance moves the Places past the entries that the reader returned and numbered, but not
// past a line whose pieces the joiner holds. It reports whether a Place has moved.
func (p *Places) Advance(r *Reader, j *Joiner) (moved bool) {
	for i := range r.sources {
		s := &r.sources[i]
		place := s.numbered
		if before, held := j.before(s); held {
			place = before
		}
		if place.ID != (entry.ID{}) && place != p.at[s.key] {
			p.at[s.key] = place
			moved = true
		}
	}
	return moved
}

// Lag returns for each of the apps called names how many entries of its streams are after
// the Places; -1: not known.
func (p *Places) Lag(ctx context.Context, client *redisconn.Client, names ...string) (map[string]int64, error) {
	r := NewReader(names...)
	states, err := r.inspect(ctx, client)
	if err != nil {
		return nil, err
	}
	lags := make(map[string]int64)
	for i := range r.sources {
		s, state, place := &r.sources[i], &states[i], p.of(r.sources[i].key)
		var lag int64
		switch {
		case state.denied:
			lag = -1
		case !state.exists || state.last == place.ID:
		case place.ID == (entry.ID{}) || state.last.Less(place.ID):
			lag = state.length
		case state.added < 0 || place.Count < 0:
			lag = -1
		default:
			lag = max(state.added-place.Count, 0)
		}
		if sum := lags[s.app]; lag < 0 || sum < 0 {
			lags[s.app] = -1
		} else {
			lags[s.app] = sum + lag
		}
	}
	return lags, nil
}
