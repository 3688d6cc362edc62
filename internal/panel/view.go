package panel

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A BoardView is a board as pages and the API show it.
type BoardView struct {
	Name  string    `json:"name"`
	Where string    `json:"address"`
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	Why   string    `json:"error,omitempty"`
	Apps  int       `json:"apps"`
}

// A PoolView is a pool as pages and the API show it; a property that Redis lacks is nil.
// jettison_health's document leaves it out, and has neither a state nor a history.
type PoolView struct {
	Category  string    `json:"category"`
	Health    *int64    `json:"health"`
	Cap       *int64    `json:"cap"`
	Init      *int64    `json:"init"`
	Beats     *int64    `json:"beats"`
	Depletion *int64    `json:"depletion_rate"`
	Replenish *int64    `json:"replenish_rate"`
	Percent   *int      `json:"percent"`
	State     string    `json:"state"` // alive, low, dead, ended, gone, unknown
	history   []float32 // history: shares of the cap in the last hour
}

// An AppView is an app as pages and the API show it.
type AppView struct {
	Board     string              `json:"board"`
	Name      string              `json:"name"`
	State     State               `json:"state"`
	Note      string              `json:"note,omitempty"` // more about the state
	Since     *time.Time          `json:"since"`          // time of the newest run marker
	Run       string              `json:"run,omitempty"`
	Pools     []PoolView          `json:"pools"`
	Lines     float32             `json:"lines_per_second"`
	Errors    float32             `json:"errors_per_second"`
	Estimated bool                `json:"rates_estimated"` // wrapp does not count, and the panel could not read all lines
	Restarts  *int64              `json:"restarts"`
	Spooled   *int64              `json:"spooled"`
	Dropped   *int64              `json:"dropped"`
	Dead      *int64              `json:"dead_letters"`
	Crashes   int                 `json:"crashes"` // reports that the panel has read, maxCrashes at most
	LastCrash *Crash              `json:"last_crash"`
	Instances []map[string]string `json:"instances"`

	lines, errors []float32 // lines, errors: rates of the last hour
	events        []Event
	now           time.Time
}

// boardViews returns a view of every board.
func (s *Server) boardViews() []BoardView {
	var all []BoardView
	for _, b := range s.boards {
		b.mu.Lock()
		all = append(all, BoardView{b.name, b.cfg.Where(), b.state == there, b.since, b.why, len(b.apps)})
		b.mu.Unlock()
	}
	return all
}

// appViews returns a view of every app, the worst first, each with points values of history.
func (s *Server) appViews(points int) []AppView {
	var all []AppView
	for _, b := range s.boards {
		b.mu.Lock()
		for _, a := range b.apps {
			all = append(all, b.view(a, points))
		}
		b.mu.Unlock()
	}
	slices.SortFunc(all, func(x, y AppView) int {
		return cmp.Or(cmp.Compare(x.State, y.State), strings.Compare(x.Name, y.Name), strings.Compare(x.Board, y.Board))
	})
	return all
}

// appView returns the view of one app; ok is false for an unknown name.
func (s *Server) appView(b *board, name string, points int) (view AppView, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[name]
	if a == nil {
		return AppView{}, false
	}
	return b.view(a, points), true
}

// view returns a view of an app. The caller holds the board's lock.
func (b *board) view(a *app, points int) AppView {
	now := time.Now()
	stands := a.newest.Assess(a.name, a.instances, now)
	v := AppView{
		Board: b.name, Name: a.name, State: a.state(&stands), Run: a.mark.run, Lines: a.rate, Errors: a.wrong, Estimated: a.estimated, Crashes: len(a.crashes),
		Pools: []PoolView{}, Instances: []map[string]string{}, events: slices.Clone(a.events), now: now,
		lines: a.lines.window(now.Unix(), span, points, higher), errors: a.errors.window(now.Unix(), span, points, higher),
	}
	if a.mark.known {
		at := a.mark.at
		v.Since = &at
	}
	switch {
	case v.State == Failed:
		v.Note = "exit " + strconv.Itoa(stands.Exit)
	case v.State == Gone && stands.Down:
		v.Note = "the machine went down"
	}
	if n := len(a.crashes); n > 0 {
		last := a.crashes[n-1]
		v.LastCrash = &last
	}
	if b.state != there {
		v.State, v.Lines, v.Errors, v.Estimated = Unknown, 0, 0, false
		v.Note = "board away"
	}
	for i := range a.instances {
		in := &a.instances[i]
		fields := map[string]string{"instance": in.ID}
		for f := in.Fields(); len(f) > 0; f = f[2:] {
			fields[f[0]] = f[1]
		}
		v.Instances = append(v.Instances, fields)
		add(&v.Restarts, in.Restarts)
		add(&v.Spooled, in.Spooled)
		add(&v.Dropped, int(min(in.Dropped, math.MaxInt)))
		add(&v.Dead, in.DeadLetters)
	}
	for _, category := range slices.Sorted(maps.Keys(a.pools)) {
		v.Pools = append(v.Pools, a.pools[category].view(category, now, points, b.state == there))
	}
	return v
}

// add adds a number of a run to a sum.
func add(to **int64, n int) {
	if *to == nil {
		*to = new(int64)
	}
	**to += int64(n)
}

func (p *pool) view(category string, now time.Time, points int, fresh bool) PoolView {
	get := func(property string) *int64 {
		if n, ok := p.Get(property); ok {
			return &n
		}
		return nil
	}
	v := PoolView{
		Category: category, Health: get("health"), Cap: get("cap"), Init: get("init"), Beats: get("beats"),
		Depletion: get("depletion_rate"), Replenish: get("replenish_rate"),
		history: p.history.window(now.Unix(), span, points, lower),
	}
	running := get("running")
	share := p.share()
	switch {
	case !fresh:
		v.State, v.Health, share = "unknown", nil, unknown
	case running != nil && *running == 0:
		v.State = "ended"
	case v.Health == nil && running != nil:
		v.State = "gone"
	case v.Health == nil || running == nil:
		v.State = "unknown"
	case *v.Health <= 0:
		v.State = "dead"
	case share < lowBelow:
		v.State = "low"
	default:
		v.State = "alive"
	}
	if !isUnknown(share) {
		percent := int(100*share + .5)
		v.Percent = &percent
	}
	return v
}

// A Group is the crashes of one signature.
type Group struct {
	Board     string    `json:"board"`
	App       string    `json:"app"`
	Signature string    `json:"signature"`
	Headline  string    `json:"headline"`
	Where     string    `json:"where,omitempty"`
	Kind      string    `json:"kind"`
	Count     int       `json:"count"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Days      []Day     `json:"days"`    // the newest first
	Reports   []Crash   `json:"reports"` // the newest first
}

// A Day counts the crashes of one day.
type Day struct {
	Date  string `json:"date"`
	Count int    `json:"count"`
}

// groups returns the crashes by signature, newest first; empty names choose all.
func (s *Server) groups(board, name string) []Group {
	groups := []Group{}
	for _, b := range s.boards {
		if board != "" && b.name != board {
			continue
		}
		b.mu.Lock()
		for _, a := range b.apps {
			if name == "" || a.name == name {
				groups = append(groups, a.groups(b.name)...)
			}
		}
		b.mu.Unlock()
	}
	slices.SortFunc(groups, func(x, y Group) int {
		return cmp.Or(compareIDs(y.Reports[0].id, x.Reports[0].id), strings.Compare(x.App, y.App), strings.Compare(x.Board, y.Board))
	})
	return groups
}

func (a *app) groups(board string) []Group {
	by := make(map[string]*Group)
	for _, c := range slices.Backward(a.crashes) {
		g := by[c.Signature]
		if g == nil {
			g = &Group{Board: board, App: a.name, Signature: c.Signature, Headline: c.Headline, Where: c.Where, Kind: c.Kind, Last: c.Time}
			by[c.Signature] = g
		}
		g.First = c.Time
		g.Count++
		g.Reports = append(g.Reports, c)
		date := c.Time.Format(time.DateOnly)
		if n := len(g.Days); n == 0 || g.Days[n-1].Date != date {
			g.Days = append(g.Days, Day{Date: date})
		}
		g.Days[len(g.Days)-1].Count++
	}
	all := make([]Group, 0, len(by))
	for _, g := range by {
		all = append(all, *g)
	}
	return all
}

// Worst returns the three worst pools, for pages with little room.
func (v *AppView) Worst() []PoolView {
	rank := map[string]int{"gone": 0, "dead": 1, "low": 2, "unknown": 3, "alive": 4, "ended": 5}
	pools := slices.Clone(v.Pools)
	slices.SortStableFunc(pools, func(x, y PoolView) int { return cmp.Compare(rank[x.State], rank[y.State]) })
	return pools[:min(len(pools), 3)]
}

// Others returns how many pools Worst leaves out.
func (v *AppView) Others() int { return max(0, len(v.Pools)-3) }

// Events returns the events of the last hour, the newest first.
func (v *AppView) Events() []Event {
	var recent []Event
	for _, e := range slices.Backward(v.events) {
		if v.now.Sub(e.Time) < span*time.Second {
			recent = append(recent, e)
		}
	}
	return recent
}

// History returns the pool's health in the last hour, as shares of the cap.
func (p *PoolView) History() []float32 { return p.history }

// Fill returns the width of the pool's bar, of 100.
func (p *PoolView) Fill() int {
	if p.Percent == nil {
		return 0
	}
	return *p.Percent
}
