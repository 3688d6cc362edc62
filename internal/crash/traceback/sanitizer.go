package traceback

import "bytes"

// The sanitizers print "==123==ERROR: AddressSanitizer: why", most of them below a rule of "="
// signs, then stacks and explanations up to a SUMMARY, and ABORTING if the process ends. The
// thread sanitizer, and Go's race detector, which uses it, close with a second rule. The
// sanitizer of undefined behaviour prints a line for each case: "file.c:3:5: runtime error:
// why".
var (
	sanitizerRule = form{
		language: native,
		starts:   []string{"=================="},
		open:     func(_ *block, line []byte) bool { return isRule(line) },
		next:     nextSanitizer,
		gap:      slowGap,
	}
	sanitizerError = form{
		language: native,
		starts:   []string{"=="},
		open:     sanitizerHead,
		next:     nextSanitizer,
		gap:      slowGap,
	}
	sanitizerSignal = form{
		language: native,
		starts:   []string{"AddressSanitizer:", "LeakSanitizer:", "MemorySanitizer:", "ThreadSanitizer:", "UndefinedBehaviorSanitizer:", "HWAddressSanitizer:"},
		open: func(b *block, line []byte) bool {
			b.follows = true
			return ends(line, "Sanitizer:DEADLYSIGNAL")
		},
		next: nextSanitizer,
		gap:  slowGap,
	}
	threadSanitizer = form{
		language: native,
		starts:   []string{"WARNING: ThreadSanitizer: "},
		open:     sanitizerHead,
		next:     nextSanitizer,
		gap:      slowGap,
	}
	undefined = form{
		language: native,
		may: func(line []byte) bool {
			i := bytes.IndexByte(line, ':')
			return digits(line[i+1:min(i+2, len(line))]) > 0 && has(line[firstWord(line):], " runtime error: ")
		},
		open: func(b *block, line []byte) bool {
			n := firstWord(line)
			place, column := cutNumber(line[:n-1])
			_, number := cutNumber(place)
			b.entitle(line)
			b.confirm(false)
			return column && number
		},
		next: nextUndefined,
		gap:  slowGap,
	}
)

const (
	sanitizerOpen    = iota // the head is still to come
	sanitizerStacks         // SUMMARY is still to come
	sanitizerSummary        // only the shadow bytes and ABORTING are still to come
	sanitizerRace           // a rule ends the report
)

func isRule(line []byte) bool { return len(line) >= 18 && len(bytes.Trim(line, "=")) == 0 }

// afterID returns what follows "==123==", or nil.
func afterID(line []byte) []byte {
	if !has(line, "==") {
		return nil
	}
	rest := line[2:]
	if n := digits(rest); n > 0 && has(rest[n:], "==") {
		return rest[n+2:]
	}
	return nil
}

// sanitizerHead says whether line is the head of a report, and prepares b.
func sanitizerHead(b *block, line []byte) bool {
	if string(line) == "WARNING: DATA RACE" {
		b.language = "Go"
		b.entitle(line)
		b.state = sanitizerRace
		b.confirm(false)
		return true
	}
	what, ok := bytes.CutPrefix(line, []byte("WARNING: "))
	if ok {
		b.state = sanitizerRace
	} else {
		b.state = sanitizerStacks
		what = afterID(line)
		for _, kind := range []string{"ERROR: ", "WARNING: "} {
			what = bytes.TrimPrefix(what, []byte(kind))
		}
	}
	n := name(what, "")
	if !ends(what[:n], "Sanitizer") || !(has(what[n:], ": ") || has(what[n:], " has encountered a fatal error")) {
		b.state = sanitizerOpen
		return false
	}
	b.entitle(what)
	b.confirm(has(what[n:], " has "))
	return true
}

func nextSanitizer(b *block, line []byte) verdict {
	if len(line) == 0 {
		if b.state == sanitizerOpen {
			return over
		}
		return foreign
	}
	if b.state == sanitizerOpen {
		switch {
		case isRule(line), ends(line, "Sanitizer:DEADLYSIGNAL"), sanitizerHead(b, line):
			return part
		case b.follows || b.confirmed:
			return foreign
		}
		return over
	}
	if isRule(line) {
		if b.state == sanitizerRace {
			return last
		}
		return foreign
	}
	if rest := afterID(line); rest != nil {
		if string(rest) == "ABORTING" {
			b.confirm(true)
			return last
		}
		if b.state == sanitizerSummary && has(rest, "ERROR: ") {
			return foreign
		}
		return part
	}
	if b.state == sanitizerSummary {
		if hasOne(line, "Shadow byte", "  ", "=>") {
			return part
		}
		return foreign
	}
	switch {
	case has(line, "SUMMARY: "):
		if b.state != sanitizerRace {
			b.state = sanitizerSummary
		}
		return part
	case hasOne(line, " ", "0x", "Address ", "HINT: ", "Hint: ", "Thread T", "Note: "), ends(line, ":"),
		holds(line, " of size "), holds(line, "Sanitizer"):
		return part
	}
	return foreign
}

func nextUndefined(_ *block, line []byte) verdict {
	switch {
	case has(line, "SUMMARY: UndefinedBehaviorSanitizer"):
		return last
	case has(line, "    #"), firstWord(line) > 0 && holds(line, ": note: "):
		return part
	case has(line, " ") && len(bytes.Trim(line, " ^~0123456789abcdef")) == 0 && !isBlank(line):
		return part // the hex dump
	}
	return foreign
}
