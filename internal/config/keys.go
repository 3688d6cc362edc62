package config

import (
	"iter"
	"reflect"
	"strconv"
	"strings"
)

// anyName stands in a known key for a name that the user chooses.
const anyName = "*"

// Keys returns the whole name of every key and table, from the toml tags of Config and in
// their order; "*" stands for a name that the user chooses.
func Keys() []string { return appendKeys(nil, "", reflect.TypeFor[Config]()) }

// keysOf yields the index and key of each field of a struct that has a toml tag.
func keysOf(t reflect.Type) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
			if name != "" && !yield(i, name) {
				return
			}
		}
	}
}

func appendKeys(keys []string, prefix string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return appendKeys(keys, prefix, t.Elem())
	case reflect.Map:
		if t.Elem().Kind() != reflect.Struct {
			return keys
		}
		return appendKeys(keys, prefix+anyName+".", t.Elem())
	case reflect.Struct:
		for i, name := range keysOf(t) {
			key := prefix + name
			keys = appendKeys(append(keys, key), key+".", t.Field(i).Type)
		}
	}
	return keys
}

// nearestKey returns the known key that the unknown key name in table most likely means, or
// "". It prefers a misspelt name in the right table, then the right name in another table,
// then a misspelt name there.
func nearestKey(table, name string) string {
	const elsewhere = 3
	best, bestCost := "", int(^uint(0)>>1)
	for _, key := range Keys() {
		dot := strings.LastIndexByte(key, '.')
		keyTable, keyName := key[:max(dot, 0)], key[dot+1:]
		d, ok := likeness(strings.ToLower(name), keyName)
		if !ok {
			continue
		}
		cost := 2 * d
		switch where := inTable(keyTable, table); {
		case where != "" || keyTable == table:
			key = join(where, keyName)
		case strings.Contains(keyTable, anyName):
			key = strings.ReplaceAll(key, anyName, "<category>")
			cost += elsewhere
		default:
			cost += elsewhere
		}
		if cost < bestCost {
			best, bestCost = key, cost
		}
	}
	return best
}

// inTable returns table if it matches the pattern, which may end in anyName, else "".
func inTable(pattern, table string) string {
	before, ok := strings.CutSuffix(pattern, anyName)
	if pattern == table || ok && strings.HasPrefix(table, before) {
		return table
	}
	return ""
}

// likeness returns the distance between name and a known one, and whether it is small enough
// for a hint. Names that differ only in underscores have distance 0. If one is part of the
// other, it is 1 at most.
func likeness(name, known string) (int, bool) {
	if strings.ReplaceAll(name, "_", "") == strings.ReplaceAll(known, "_", "") {
		return 0, true
	}
	d := editDistance(name, known)
	if d > 1 && len(name) >= 2 && (strings.Contains(known, name) || strings.Contains(name, known)) {
		d = 1
	}
	return d, d <= max(1, len(known)/3)
}

// Nearest returns the word that s most likely means, or "".
func Nearest(s string, words []string) string {
	best, bestCost := "", int(^uint(0)>>1)
	for _, word := range words {
		if d, ok := likeness(strings.ToLower(s), word); ok && s != "" && d < bestCost {
			best, bestCost = word, d
		}
	}
	return best
}

// didYouMean turns a suggestion, if there is one, into a hint.
func didYouMean(s string) string {
	if s == "" {
		return ""
	}
	return "did you mean " + s + "?"
}

// editDistance counts the letters to insert, drop, replace or swap with their neighbour to
// get from a to b. It gives up on names longer than any known key, to save time.
func editDistance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var before, last, row [longest + 1]int // rows i-2, i-1 and i
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// join returns the whole name of a key in a table, both as they stand in TOML.
func join(table, name string) string {
	if !isBare(name) {
		name = strconv.Quote(name)
	}
	if table == "" {
		return name
	}
	return table + "." + name
}

// elementOf returns the whole name of an element of a list, counted from 0: its key in
// document.lines.
func elementOf(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// isBare reports whether TOML accepts the name without quotes.
func isBare(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return name != ""
}
