package crash

import (
	"hash/maphash"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

const (
	// repeatSpan is how long repetitions of a reported traceback are only counted.
	repeatSpan = time.Minute

	// differentEach bounds the different tracebacks reported in a repeatSpan.
	differentEach = 10
)

// repeats limits the reports of survived tracebacks, so that they do not push reports of
// deaths out of the capped stream. One goroutine at a time may use it.
type repeats struct {
	seed   maphash.Seed
	recent map[uint64]*repeated // reported in the last repeatSpan
	others repeated             // beyond differentEach or room
	room   int                  // entries that the run may still have; see Options.MostTracebacks
	ends   bool                 // there is no more room, and a report said so
}

// repeated counts the repetitions of a reported traceback.
type repeated struct {
	title string
	like  signature.Signature // of each repetition; zero: they differ
	since time.Time
	more  int  // repetitions since then
	last  bool // the last report before the end of the run
}

// wants says whether to report a traceback. If not, it has counted the traceback.
func (r *repeats) wants(b *heard, now time.Time) bool {
	key := maphash.String(r.seed, likeness(b))
	if like := r.recent[key]; like != nil {
		like.more += 1 + b.lost
		return false
	}
	if len(r.recent) >= differentEach || r.room <= 0 {
		if r.others.more == 0 {
			r.others.since = now
		}
		r.others.more += 1 + b.lost
		return false
	}
	if r.recent == nil {
		r.recent = make(map[uint64]*repeated)
	}
	r.recent[key] = &repeated{title: b.Headline(), like: signature.Of(b.Stack()), since: now}
	r.room -= 2 // a sum may follow
	return true
}

// sums returns the counts that are due: once for each repeatSpan, and at the end. Without
// room, the rest is due only at the end.
func (r *repeats) sums(now time.Time, end bool) (due []repeated) {
	for key, like := range r.recent {
		if !end && now.Sub(like.since) < repeatSpan {
			continue
		}
		delete(r.recent, key)
		if like.more > 0 {
			due = append(due, *like)
		} else {
			r.room++
		}
	}
	if r.others.more > 0 && (end || !r.ends && now.Sub(r.others.since) >= repeatSpan) {
		r.ends = r.room <= 0
		r.room--
		r.others.last = r.ends && !end
		due = append(due, r.others)
		r.others = repeated{}
	}
	return due
}

// varying matches what differs between the frames of two prints of the same traceback, number
// what differs in its reason. They are compiled on first use, to start faster.
var (
	varying = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`0x[0-9a-fA-F]+|goroutine [0-9]+|\([0-9]+\) panicked|==[0-9]+==`)
	})
	number = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+`) })
)

// likeness returns the same text for all tracebacks with the same place and reason.
func likeness(b *heard) string {
	text := b.Text
	if b.Title != "" {
		text = strings.ReplaceAll(text, b.Title, number().ReplaceAllString(b.Title, ""))
	}
	return varying().ReplaceAllString(text, "")
}

// deliverSums reports the counts that are due.
func (w *Watch) deliverSums(end bool) {
	for _, sum := range w.repeats.sums(time.Now(), end) {
		w.opts.Deliver(w.sumReport(&sum))
	}
}

// sumReport returns a report with the number of tracebacks that were only counted.
func (w *Watch) sumReport(s *repeated) *Report {
	r := w.appReport(Traceback)
	r.Count = s.more
	if r.Signature = s.like; s.title == "" {
		r.Signature = signature.Of("tracebacks", nil)
	}
	p := new(page)
	p.WriteString(w.opts.Name)
	since := " since " + s.since.Format(time.TimeOnly)
	switch {
	case s.title != "":
		p.WriteString(" wrote a traceback and went on: " + s.title + "\nand " + thousands(s.more) + " more of these" + since)
	case s.last:
		p.WriteString(" wrote " + thousands(s.more) + " more tracebacks and went on" + since +
			"\nFurther ones are only counted until the end of the run, so that reports of crashes stay in this stream.")
	default:
		p.WriteString(" wrote " + thousands(s.more) + " more tracebacks of other kinds and went on" + since)
	}
	return w.finished(r, p)
}

// thousands formats a number with a comma between groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
