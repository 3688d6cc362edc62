package entry

import (
	"bytes"
	"time"
)

// A clock reads times in text.
type clock struct {
	received time.Time      // when the text was read; decides a missing year
	loc      *time.Location // for times without a zone
}

// at reads a time at the beginning of b, and returns its length in bytes, 0 without one.
// A time of day without a date does not count: it may be a duration.
func (c clock) at(b []byte) (t time.Time, n int) {
	if len(b) < len("0102 15:04:05") {
		return t, 0
	}
	switch first := b[0]; {
	case isDigit(first) && (b[4] == '-' || b[4] == '/') && digits(b) == 4:
		// 2006-01-02T15:04:05, 2006/01/02 15:04:05
		if b[7] != b[4] || b[10] != 'T' && b[10] != 't' && b[10] != ' ' {
			return t, 0
		}
		return c.date(b, number(b[:4]), two(b[5:]), two(b[8:]), 11)
	case isDigit(first) && isDigit(b[1]) && b[2] == '-' && digits(b[3:]) == 2 && b[5] == ' ':
		// 01-02 15:04:05.000, Android's
		if len(b) < 15 || b[14] != '.' {
			return t, 0
		}
		return c.date(b, -1, two(b), two(b[3:]), 6)
	case isDigit(first):
		// 02 Jan 2006 15:04:05, 02-Jan-2006 15:04:05, 02/Jan/2006:15:04:05 -0700
		if len(b) < 20 || digits(b) != 2 || b[6] != b[2] || b[2] != ' ' && b[2] != '-' && b[2] != '/' ||
			digits(b[7:]) != 4 || b[11] != ' ' && b[11] != ':' {
			return t, 0
		}
		return c.date(b, number(b[7:11]), month(b[3:]), two(b), 12)
	case bytes.IndexByte([]byte("DIWEF"), first) >= 0 && digits(b[1:]) == 4 && b[5] == ' ':
		// I0102 15:04:05.000000, glog's
		return c.date(b, -1, two(b[1:]), two(b[3:]), 6)
	case bytes.IndexByte([]byte("DIWEF"), first) >= 0 && digits(b[1:]) == 8 && b[9] == ' ':
		// I20060102 15:04:05.000000, glog's since 0.5
		return c.date(b, number(b[1:5]), two(b[5:]), two(b[7:]), 10)
	}
	skip := 0
	if b[3] == ' ' || b[3] == ',' {
		if weekday(b) {
			skip = 4
			if b[3] == ',' && b[4] == ' ' {
				skip = 5
			}
			b = b[skip:]
			if isDigit(b[0]) {
				if t, n = c.at(b); n > 0 {
					n += skip
				}
				return t, n
			}
		}
	}
	return c.named(b, skip)
}

// named reads Jan _2 15:04:05, with the year behind it, behind the day, or missing. skip is the
// length of the text before b; it counts in n.
func (c clock) named(b []byte, skip int) (t time.Time, n int) {
	m := month(b)
	if m == 0 || len(b) < len("Jan _2 15:04:05") || b[3] != ' ' {
		return t, 0
	}
	day := two(b[4:])
	at := 7
	if b[4] == ' ' && isDigit(b[5]) {
		day = int(b[5] - '0')
	} else if isDigit(b[4]) && b[5] == ' ' {
		day, at = int(b[4]-'0'), 6
	}
	if b[at-1] != ' ' {
		return t, 0
	}
	if len(b) > at+5 && digits(b[at:]) == 4 && b[at+4] == ' ' {
		t, n = c.date(b, number(b[at:at+4]), m, day, at+5)
	} else if year, end := yearBehind(b, at, skip > 0); year > 0 {
		if t, n = c.date(b, year, m, day, at); n > 0 {
			n = end
		}
	} else {
		t, n = c.date(b, -1, m, day, at)
	}
	if n > 0 {
		n += skip
	}
	return t, n
}

// yearBehind reads a year behind the time of day at b[i:], as ctime and date write it. If the
// text begins with a weekday, AM or PM and a zone may be between.
func yearBehind(b []byte, i int, weekday bool) (year, end int) {
	i += len("15:04:05")
	if i+1 < len(b) && (b[i] == '.' || b[i] == ',') {
		i += 1 + digits(b[i+1:])
	}
	for range 2 {
		n := i + 1
		for weekday && n < len(b) && n < i+6 && b[n] >= 'A' && b[n] <= 'Z' {
			n++
		}
		if n > i+2 && n < len(b) && b[i] == ' ' && b[n] == ' ' {
			i = n
		}
	}
	if i+5 > len(b) || b[i] != ' ' || digits(b[i+1:]) != 4 || i+5 < len(b) && isWord(b[i+5]) {
		return 0, 0
	}
	return number(b[i+1 : i+5]), i + 5
}

// date reads the time of day and the zone at b[i:] and combines them with the date. year -1
// means that the text has no year.
func (c clock) date(b []byte, year, month, day, i int) (t time.Time, n int) {
	if month < 1 || month > 12 || day < 1 || day > 31 || len(b) < i+8 || b[i+2] != ':' || b[i+5] != ':' {
		return t, 0
	}
	hour, minute, second := two(b[i:]), two(b[i+3:]), two(b[i+6:])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return t, 0
	}
	i += 8
	nanos := 0
	if i+1 < len(b) && (b[i] == '.' || b[i] == ',') {
		if d := digits(b[i+1:]); d > 0 {
			nanos = fraction(b[i+1 : i+1+d])
			i += 1 + d
		}
	}
	if pm, n := halfDay(b[i:]); n > 0 && hour >= 1 && hour <= 12 {
		i += n
		if hour %= 12; pm {
			hour += 12
		}
	}
	loc := c.loc
	if offset, n := zone(b[i:]); n > 0 {
		i += n
		loc = time.UTC
		second -= offset
	}
	if i < len(b) && isWord(b[i]) {
		return t, 0
	}
	if year < 0 {
		if t = c.thisYear(month, day, hour, minute, nanos, loc); t.IsZero() {
			return t, 0
		}
	} else {
		t = time.Date(year, time.Month(month), day, hour, minute, 0, nanos, loc)
		if t.Day() != day || year < 1900 || year > 9998 {
			return t, 0
		}
	}
	return t.Add(time.Duration(second) * time.Second), i
}

// thisYear returns the time in the year that brings it closest to the time of receipt: a
// line of December that is received in January is last year's.
func (c clock) thisYear(month, day, hour, minute, nanos int, loc *time.Location) (best time.Time) {
	year := c.received.In(loc).Year()
	closest := time.Duration(-1)
	for y := year - 1; y <= year+1; y++ {
		t := time.Date(y, time.Month(month), day, hour, minute, 0, nanos, loc)
		if d := t.Sub(c.received).Abs(); t.Day() == day && (closest < 0 || d < closest) {
			best, closest = t, d
		}
	}
	return best
}

// halfDay reads the AM or PM that may follow a time of day.
func halfDay(b []byte) (pm bool, n int) {
	if len(b) > 0 && b[0] == ' ' {
		n = 1
	}
	rest := b[n:]
	if len(rest) < 2 || rest[0] != 'A' && rest[0] != 'P' || rest[1] != 'M' || len(rest) > 2 && isWord(rest[2]) {
		return false, 0
	}
	return rest[0] == 'P', n + 2
}

// zone reads a zone behind a time of day: Z, UTC, GMT, +01:00, +0100 or +01, some of them also
// behind a blank. offset is in seconds east of UTC.
func zone(b []byte) (offset, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	i := 0
	if b[0] == ' ' {
		i = 1
	}
	rest := b[i:]
	switch {
	case len(rest) == 0:
		return 0, 0
	case rest[0] == 'Z' || rest[0] == 'z':
		if len(rest) == 1 || !isWord(rest[1]) {
			return 0, i + 1
		}
		return 0, 0
	case bytes.HasPrefix(rest, []byte("UTC")) || bytes.HasPrefix(rest, []byte("GMT")):
		if i == 1 && (len(rest) == 3 || !isWord(rest[3])) {
			return 0, i + 3
		}
		return 0, 0
	case rest[0] != '+' && rest[0] != '-':
		return 0, 0
	}
	d := digits(rest[1:min(len(rest), 6)])
	hour, minute, length := 0, 0, 0
	switch {
	case d == 4:
		hour, minute, length = two(rest[1:]), two(rest[3:]), 5
	case d == 2 && len(rest) >= 6 && rest[3] == ':' && two(rest[4:]) >= 0:
		hour, minute, length = two(rest[1:]), two(rest[4:]), 6
	case d == 2 && i == 0:
		hour, length = two(rest[1:]), 3
	default:
		return 0, 0
	}
	if hour > 18 || minute > 59 {
		return 0, 0
	}
	offset = hour*3600 + minute*60
	if rest[0] == '-' {
		offset = -offset
	}
	return offset, i + length
}

// fraction converts the digits behind a decimal point to nanoseconds.
func fraction(b []byte) int {
	n := 0
	for i := range 9 {
		n *= 10
		if i < len(b) {
			n += int(b[i] - '0')
		}
	}
	return n
}

// two returns the number in b's first two bytes, or -1 if they are not digits.
func two(b []byte) int {
	if len(b) < 2 || !isDigit(b[0]) || !isDigit(b[1]) {
		return -1
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

// month returns the month, 1 to 12, whose English short name b begins with, or 0.
func month(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	switch string(b[:3]) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

func weekday(b []byte) bool {
	switch string(b[:3]) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

func isWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }
