package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/address"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// A Pair names a pool.
type Pair struct{ Service, Category string }

func (p Pair) String() string { return p.Service + ":" + p.Category }

// ParsePair reads <service>:<category>; the category is what follows the last
// colon.
func ParsePair(s string) (Pair, error) {
	i := strings.LastIndexByte(s, ':')
	if address.IsURL(s) {
		return Pair{}, errors.New("a pool is <service>:<category>, not a URL; --redis takes a URL")
	}
	if i <= 0 || i == len(s)-1 {
		return Pair{}, fmt.Errorf("%q is not <service>:<category>", s)
	}
	return Pair{s[:i], s[i+1:]}, nil
}

// A Reading is one pool as read from Redis.
type Reading struct {
	Pair
	values  [len(properties)]int64
	has     [len(properties)]bool
	invalid map[string]string // invalid: text of the keys that hold no integer, by property
}

// Get returns a property by its name; ok is false if its key is missing or holds no integer.
func (r *Reading) Get(property string) (value int64, ok bool) {
	i := slices.Index(properties[:], property)
	return r.values[i], r.has[i]
}

// Exists reports whether every key of the pool exists and holds an integer.
func (r *Reading) Exists() bool {
	return !slices.Contains(r.has[:], false)
}

// missing returns the properties whose keys do not exist.
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

// Above reports whether a pool exists and has at least that health.
func (r *Reading) Above(t Threshold) bool {
	health, capacity := r.values[healthProperty], r.values[capProperty]
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
// pairs: with MGET, or with GET where the user may do only that.
func Read(ctx context.Context, client *redisconn.Client, pairs []Pair) ([]Reading, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	keys := make([]string, 0, len(pairs)*len(properties))
	for _, p := range pairs {
		for _, property := range properties {
			keys = append(keys, key(p.Service, p.Category, property))
		}
	}
	values, err := client.Values(ctx, keys)
	if err != nil {
		return nil, err
	}
	readings := make([]Reading, len(pairs))
	for i, p := range pairs {
		readings[i] = reading(p, values[i*len(properties):][:len(properties)])
	}
	return readings, nil
}

func reading(p Pair, values []*string) Reading {
	r := Reading{Pair: p}
	for i, text := range values {
		if text == nil {
			continue
		}
		n, err := strconv.ParseInt(*text, 10, 64)
		if err != nil || (*text)[0] == '+' {
			if r.invalid == nil {
				r.invalid = make(map[string]string)
			}
			r.invalid[properties[i]] = *text
			continue
		}
		r.values[i], r.has[i] = n, true
	}
	return r
}

// All returns every pool that has a key, sorted. The markers of a pool also write values,
// wrapp:<service>:__healthpool__<category>_<property>. These make no further pool if the
// pool itself has a key.
func All(ctx context.Context, client *redisconn.Client) ([]Pair, error) {
	found := make(map[Pair]bool)
	err := client.Scan(ctx, "*:"+poolInfix+"*", func(key string) {
		if p, ok := pairOf(key); ok {
			found[p] = true
		}
	})
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
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.String(), b.String()) })
	return pairs, nil
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
