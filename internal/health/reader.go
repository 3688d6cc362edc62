package health

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/resp"
)

// A Pair names a pool.
type Pair struct{ Service, Category string }

func (p Pair) String() string { return p.Service + ":" + p.Category }

// ParsePair reads <service>:<category>; the category is what follows the last
// colon.
func ParsePair(s string) (Pair, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return Pair{}, fmt.Errorf("%q is not <service>:<category>", s)
	}
	return Pair{s[:i], s[i+1:]}, nil
}

// A Reading is what Redis holds of one pool.
type Reading struct {
	Pair
	values  [len(properties)]int64
	has     [len(properties)]bool
	invalid map[string]string // what holds no integer, by property
}

// Exists says whether every key of the pool is there and holds an integer.
func (r *Reading) Exists() bool {
	return r.has == [len(properties)]bool{true, true, true, true, true, true, true, true}
}

// missing are the properties whose keys are not there.
func (r *Reading) missing() (names []string) {
	for i, property := range properties {
		if _, invalid := r.invalid[property]; !r.has[i] && !invalid {
			names = append(names, property)
		}
	}
	return names
}

// A Threshold is the least health that is good enough: whole units, or per cent of
// the pool's cap.
type Threshold struct {
	n       int64
	percent bool
}

// UnmarshalText reads N or N%.
func (t *Threshold) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return errors.New("must be a whole number, or one with % behind it")
	}
	*t = Threshold{n, percent}
	return nil
}

// Above says whether a pool exists and has at least that health.
func (r *Reading) Above(t Threshold) bool {
	health, capacity := r.values[healthProperty], r.values[1]
	switch {
	case !r.Exists() || health < 0:
		return false
	case t.percent && t.n > 0:
		return capacity >= 0 && !times(health, 100).less(times(capacity, t.n))
	default:
		return health >= t.n
	}
}

// Read reads pools, all of them in one round trip to each server, in the order of the
// pairs.
func Read(ctx context.Context, conn *redisconn.Conn, pairs []Pair) ([]Reading, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	keys := make([]string, 0, len(pairs)*len(properties))
	for _, p := range pairs {
		for _, property := range properties {
			keys = append(keys, key(p.Service, p.Category, property))
		}
	}
	values, err := conn.MGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	if len(values) != len(keys) {
		return nil, fmt.Errorf("MGET of %d keys answered with %d values", len(keys), len(values))
	}
	readings := make([]Reading, len(pairs))
	for i, p := range pairs {
		readings[i] = reading(p, values[i*len(properties):][:len(properties)])
	}
	return readings, nil
}

func reading(p Pair, values []any) Reading {
	r := Reading{Pair: p}
	for i, v := range values {
		text, ok := v.([]byte)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || text[0] == '+' {
			if r.invalid == nil {
				r.invalid = make(map[string]string)
			}
			r.invalid[properties[i]] = string(text)
			continue
		}
		r.values[i], r.has[i] = n, true
	}
	return r
}

// All finds every pool of which there is a key, sorted. The values that markers of
// a pool wrote, wrapp:<service>:__healthpool__<category>_<property>, are none of
// their own if there is the pool itself.
func All(ctx context.Context, conn *redisconn.Conn) ([]Pair, error) {
	found := make(map[Pair]bool)
	err := conn.EachMaster(ctx, func(one *redisconn.Conn) error { return scan(ctx, one, found) })
	if err != nil {
		return nil, err
	}
	pairs := make([]Pair, 0, len(found))
	for p := range found {
		service, isValue := strings.CutPrefix(p.Service, "wrapp:")
		if !isValue || !found[Pair{service, p.Category}] {
			pairs = append(pairs, p)
		}
	}
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].String() < pairs[j].String() })
	return pairs, nil
}

// scan adds the pools of which one server has keys.
func scan(ctx context.Context, conn *redisconn.Conn, found map[Pair]bool) error {
	for cursor := "0"; ; {
		answer, err := resp.Values(conn.DoContext(ctx, "SCAN", cursor, "MATCH", "*:"+poolInfix+"*", "COUNT", 1000))
		if err != nil {
			return err
		}
		if len(answer) != 2 {
			return errors.New("SCAN answered something else than a cursor and keys")
		}
		if cursor, err = resp.String(answer[0], nil); err != nil {
			return err
		}
		keys, err := resp.Fields(answer[1], nil)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if p, ok := pairOf(string(k)); ok {
				found[p] = true
			}
		}
		if cursor == "0" {
			return nil
		}
	}
}

// pairOf returns the pool that a key belongs to.
func pairOf(k string) (Pair, bool) {
	i := strings.LastIndex(k, ":"+poolInfix)
	if i <= 0 {
		return Pair{}, false
	}
	rest := k[i+1+len(poolInfix):]
	for _, property := range properties {
		if category, ok := strings.CutSuffix(rest, "_"+property); ok && category != "" {
			return Pair{k[:i], category}, true
		}
	}
	return Pair{}, false
}
