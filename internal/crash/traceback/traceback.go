// Package traceback recognises the failure reports of languages' runtimes in the lines that an
// app prints: a Go panic, a Python traceback, a sanitizer's report. Each becomes one Report,
// whose text is what the app printed. The package only observes the lines.
//
// A line that only mentions a panic is no report. Each form needs more; see the languages'
// files.
package traceback

import "time"

// A Report is one traceback.
type Report struct {
	// Language is Go, Python, Rust, Java, Node.js, or C/C++ for reports of the C library,
	// sanitizers and glog.
	Language string
	// Title is one line that tells what happened, of at most maxTitle bytes.
	Title string
	// Text has the lines as they came, joined by "\n": the first 64 KiB and the last
	// 192 KiB, and between them a line with the number of bytes left out.
	Text string
	// Begin and End are the times of the first and the last line.
	Begin, End time.Time
	// Fatal says that according to the text the process ends. The process may end without
	// it, too, as after a traceback of Python's main thread.
	Fatal bool
}

// Headline returns the title with the language before it.
func (r *Report) Headline() string { return r.Language + ": " + r.Title }

const (
	// gap is how long a block waits for its next line. Most runtimes print everything
	// at once. Forms of runtimes that resolve symbols meanwhile use slowGap.
	gap     = 2 * time.Second
	slowGap = 15 * time.Second

	// asideLines and asideBytes bound the lines set aside because they do not look like
	// the block's: other threads' output, or further lines of a message. They join the
	// block only if more of it follows.
	asideLines = 16
	asideBytes = 16 << 10

	maxTitle = 300
)

// A Recognizer looks for tracebacks in the lines of one pipe. It is not safe for concurrent
// use. It holds one block, of at most some 300 KiB, and reuses its memory for the next.
type Recognizer struct {
	found func(Report)

	form      *form // nil: no block is open
	block     *block
	candidate *block // what a line in an open block would open instead

	text   text
	aside  []byte // lines, each with its "\n", after the block's last line
	asides int    // number of lines in aside

	begin, end time.Time
}

// New returns a Recognizer that calls found with each report, from Line, Idle or Close.
func New(found func(Report)) *Recognizer {
	return &Recognizer{found: found, block: new(block), candidate: new(block)}
}

// A form is one kind of failure report of a language's runtime.
type form struct {
	language string
	// starts has the possible beginnings of the first line; "?" stands for any byte.
	// Without starts, the first line begins with a word that ends in a colon: "app:
	// file.c:3: …", "file.c:3:5: …".
	starts []string
	// may, if not nil, quickly rejects lines that open would reject. A form without
	// starts needs it, because many lines begin with a word and a colon.
	may func(line []byte) bool
	// open says whether line opens a block, and prepares the block if so.
	open func(b *block, line []byte) bool
	// next classifies a further line.
	next func(b *block, line []byte) verdict
	gap  time.Duration // 0: the constant gap
}

// A verdict says how a line relates to the open block.
type verdict uint8

const (
	foreign verdict = iota // not the block's, unless more of the block follows
	part                   // the block's, with the foreign lines before it
	last                   // the block's, and nothing follows
	over                   // not the block's, which has ended
)

// A block is a form's state after the lines so far.
type block struct {
	language  string
	title     []byte
	state     int    // the form's own
	lines     int    // lines that belong to the block
	thread    []byte // Rust: the thread that panicked, to recognise its next panic
	again     bool   // Rust: the thread panicked once more
	blank     bool   // Go: an empty line came
	headed    bool   // Go: a stack's head came, and none of its calls yet
	strays    int    // foreign lines before the block was confirmed
	confirmed bool   // the block is a report
	fatal     bool   // see Report
	follows   bool   // printed by a signal handler: may follow another fatal block
	joined    bool   // the title comes from the form before
	takesRest bool   // lines still aside at the end of the pipe belong to the block
}

func (b *block) reset(language string) {
	*b = block{language: language, title: b.title[:0], thread: b.thread[:0]}
}

// confirm makes the block a report; fatal means that the process ends.
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

// Line processes the next line, without its end. It does not retain text. Empty lines count,
// too: Go prints one above its stacks. A line may come in pieces, with a call for each. now
// must not decrease.
func (r *Recognizer) Line(text []byte, now time.Time) {
	if r.form == nil && !mayOpen(text) {
		return
	}
	r.line(text, now)
}

// Idle tells the recogniser that no line came until now, and closes a block whose next line
// is overdue. Call it about once a second while Open.
func (r *Recognizer) Idle(now time.Time) {
	if r.overdue(now) {
		r.finish()
	}
}

// Open says whether a block is open, so that Idle must be called.
func (r *Recognizer) Open() bool { return r.form != nil }

// Close marks the end of the pipe. The Recognizer may then be used for another pipe.
func (r *Recognizer) Close() {
	if r.form != nil && r.block.takesRest {
		r.includeAside()
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
			r.include(line, now)
			return
		case last:
			r.include(line, now)
			r.finish()
			return
		case foreign:
			// A line that opens another block is no part of this one.
			form := opening(r.candidate, line)
			switch {
			case form == nil:
				if !r.putAside(line) {
					r.finish()
				}
			case r.block.confirmed && r.block.fatal && r.candidate.follows:
				r.join(form)
				r.include(line, now)
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
	r.include(line, now)
}

// join continues the same block with the candidate's form: a process dies once, even if both
// the C library and a signal handler report it.
func (r *Recognizer) join(form *form) {
	r.form = form
	r.block.state = r.candidate.state
	r.block.lines = 0
	r.block.takesRest = false
	r.block.joined = true
}

// include adds a line to the block, after the lines that were set aside.
func (r *Recognizer) include(line []byte, now time.Time) {
	r.includeAside()
	r.text.add(line)
	r.text.add(newline)
	r.block.lines++
	r.end = now
}

func (r *Recognizer) includeAside() {
	r.text.add(r.aside)
	r.aside, r.asides = r.aside[:0], 0
}

// putAside sets a line aside. It returns false if there is no more room.
func (r *Recognizer) putAside(line []byte) bool {
	if r.asides >= asideLines || len(r.aside)+len(line) >= asideBytes {
		return false
	}
	r.aside = append(append(r.aside, line...), '\n')
	r.asides++
	return true
}

// finish closes the block, and reports it if it is confirmed.
func (r *Recognizer) finish() {
	if r.form == nil {
		return
	}
	r.form = nil
	if r.block.confirmed && r.found != nil {
		r.found(Report{
			Language: r.block.language,
			Title:    title(r.block.title),
			Text:     string(r.text.bytes()),
			Begin:    r.begin,
			End:      r.end,
			Fatal:    r.block.fatal,
		})
	}
	r.text.reset()
	r.aside, r.asides = r.aside[:0], 0
}
