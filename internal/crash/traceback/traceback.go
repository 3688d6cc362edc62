// Package traceback recognises, in the lines that an app prints, what a
// language's runtime says when something went wrong: a Go panic, a Python
// traceback, a sanitizer's report. Each becomes one Report, whose text is what
// the app printed. It only listens: the lines go wherever they go without it.
//
// A line that merely talks of a panic does not count. Every form says what else it needs;
// see the file of each language.
package traceback

import "time"

// A Report is one traceback.
type Report struct {
	// Language is the one whose runtime printed it: Go, Python, Rust, Java,
	// Node.js, or C/C++ for what the C library, sanitizers and glog print.
	Language string
	// Title is one line that tells what happened, of at most maxTitle bytes.
	Title string
	// Text is the lines as they came, joined by "\n": the first 64 KiB and the
	// last 192 KiB, with a line between them that says how much is left out.
	Text []byte
	// Begin and End are when the first and the last line came.
	Begin, End time.Time
	// Fatal is true where the text itself says that the process ends. Where it
	// is false the process may end as well: that of Python's main thread does.
	Fatal bool
}

const (
	// gap is how long a block waits for its next line. A runtime prints all in
	// one go, unless it looks symbols up; then the form says slowGap.
	gap     = 2 * time.Second
	slowGap = 15 * time.Second

	// asideLines and asideBytes bound what is kept of lines that do not look
	// like the block's: other threads' output between its lines, or a message
	// of many lines. They count only if more of the block follows.
	asideLines = 16
	asideBytes = 16 << 10

	maxTitle = 300
)

// A Recognizer looks for tracebacks in the lines of one pipe. It is not for use
// by several goroutines at once. It holds one block, of at most some 300 KiB,
// and keeps that room for the next.
type Recognizer struct {
	found func(Report)

	form      *form // nil: no block is open
	block     *block
	candidate *block // what a line in an open block would open instead

	text   text
	aside  []byte // lines, each with its "\n", after the last of the block
	asides int    // their number

	begin, end time.Time
}

// New returns a Recognizer that gives each report to found, from within Line,
// Idle or Close.
func New(found func(Report)) *Recognizer {
	return &Recognizer{found: found, block: new(block), candidate: new(block)}
}

// A form is one way in which a language's runtime says that something is wrong.
type form struct {
	language string
	// starts is what the first line begins with, where "?" is any byte. With none, it begins with a
	// word that ends in a colon: "app: file.c:3: …", "file.c:3:5: …".
	starts []string
	// may, where there is one, says no at little cost where open would. A form
	// without starts has one, as so many lines begin with a word and a colon.
	may func(line []byte) bool
	// open says whether line opens a block, and prepares the block if so.
	open func(b *block, line []byte) bool
	// next says what a further line is to the block.
	next func(b *block, line []byte) verdict
	gap  time.Duration // 0: gap
}

// A verdict is what a line is to the block that is open.
type verdict uint8

const (
	foreign verdict = iota // not the block's, unless more of the block follows
	part                   // the block's, with the foreign lines before it
	last                   // the block's, and nothing follows
	over                   // not the block's, which has ended
)

// A block is what a form knows of the lines so far.
type block struct {
	language  string
	title     []byte
	state     int    // the form's own
	lines     int    // that belong to the block
	thread    []byte // of Rust: which one it was, for the panic that follows
	again     bool   // of Rust: it panicked once more
	blank     bool   // of Go: a line of nothing came
	headed    bool   // of Go: a stack's head came, and no call of it yet
	strays    int    // lines of others before it is confirmed
	confirmed bool   // this is a report
	fatal     bool   // see Report
	follows   bool   // printed by a signal handler: may follow another fatal block
	joined    bool   // the title is that of the form before
	takesRest bool   // what is aside when the pipe ends is the block's
}

func (b *block) reset(language string) {
	*b = block{language: language, title: b.title[:0], thread: b.thread[:0]}
}

// confirm makes the block a report, of a process that ends if fatal.
func (b *block) confirm(fatal bool) {
	b.confirmed = true
	b.fatal = b.fatal || fatal
}

// entitle sets the title.
func (b *block) entitle(title []byte) {
	if !b.joined {
		b.title = b.title[:0]
		b.subtitle("", title)
	}
}

// subtitle adds to the title.
func (b *block) subtitle(between string, more []byte) {
	if b.joined {
		return
	}
	if len(b.title) > 0 {
		b.title = append(b.title, between...)
	}
	b.title = append(b.title, more[:min(len(more), 2*maxTitle)]...)
	if len(b.title) > 2*maxTitle {
		b.title = b.title[:2*maxTitle]
	}
}

// Line takes the next line, without its end; text may be changed after. Lines
// of nothing are needed too: Go leaves one above its stacks. A line that comes in
// pieces may be given as such. Now does not go back.
func (r *Recognizer) Line(text []byte, now time.Time) {
	if r.form == nil && !mayOpen(text) {
		return
	}
	r.line(text, now)
}

// Idle tells the recogniser that no line came until now. It closes a block whose next
// line is overdue. The caller calls it about once a second while Open.
func (r *Recognizer) Idle(now time.Time) {
	if r.overdue(now) {
		r.finish()
	}
}

// Open says whether a block is open, which Idle would close in time.
func (r *Recognizer) Open() bool { return r.form != nil }

// Close says that the pipe has ended. The Recognizer may be used for another.
func (r *Recognizer) Close() {
	if r.form != nil && r.block.takesRest {
		r.keepAside()
	}
	r.finish()
}

func (r *Recognizer) overdue(now time.Time) bool {
	return r.form != nil && now.Sub(r.end) >= max(gap, r.form.gap)
}

func (r *Recognizer) line(line []byte, now time.Time) {
	if r.overdue(now) {
		r.finish()
	}
	if r.form != nil {
		switch r.form.next(r.block, line) {
		case part:
			r.take(line, now)
			return
		case last:
			r.take(line, now)
			r.finish()
			return
		case foreign:
			// What opens another block is no part of this one.
			form := opening(r.candidate, line)
			switch {
			case form == nil:
				if !r.putAside(line) {
					r.finish()
				}
			case r.block.confirmed && r.block.fatal && r.candidate.follows:
				r.join(form)
				r.take(line, now)
			default:
				r.finish()
				r.begins(form, line, now)
			}
			return
		case over:
			r.finish()
		}
	}
	if form := opening(r.candidate, line); form != nil {
		r.begins(form, line, now)
	}
}

// begins makes the candidate the block.
func (r *Recognizer) begins(form *form, line []byte, now time.Time) {
	r.form = form
	r.block, r.candidate = r.candidate, r.block
	r.begin = now
	r.take(line, now)
}

// join goes on with the candidate's form in the same block: a process dies once,
// even if both the C library and a signal handler tell of it.
func (r *Recognizer) join(form *form) {
	r.form = form
	r.block.state = r.candidate.state
	r.block.lines = 0
	r.block.takesRest = false
	r.block.joined = true
}

func (r *Recognizer) take(line []byte, now time.Time) {
	r.keepAside()
	r.text.add(line)
	r.text.add(newline)
	r.block.lines++
	r.end = now
}

func (r *Recognizer) keepAside() {
	r.text.add(r.aside)
	r.aside, r.asides = r.aside[:0], 0
}

// putAside returns false if there is no more room.
func (r *Recognizer) putAside(line []byte) bool {
	if r.asides >= asideLines || len(r.aside)+len(line) >= asideBytes {
		return false
	}
	r.aside = append(append(r.aside, line...), '\n')
	r.asides++
	return true
}

// finish ends the block, with a report if it is one.
func (r *Recognizer) finish() {
	if r.form == nil {
		return
	}
	r.form = nil
	if r.block.confirmed && r.found != nil {
		r.found(Report{
			Language: r.block.language,
			Title:    title(r.block.title),
			Text:     r.text.bytes(),
			Begin:    r.begin,
			End:      r.end,
			Fatal:    r.block.fatal,
		})
	}
	r.text.reset()
	r.aside, r.asides = r.aside[:0], 0
}
