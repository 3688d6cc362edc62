package panel

import "github.com/lpportorino/jettison-base-images/internal/fleet"

// A State is how an app is, the worst first.
type State int

// The states.
const (
	Gone       State = iota // it ran, and its lease has run out
	Depleted                // it runs, and a pool is empty
	Failed                  // it ended with a status other than 0
	Restarting              // it ended, and wrapp is about to start it again
	Low                     // it runs, and a pool is below a third of its cap
	Unknown                 // the board is away, or nothing says how it is
	Ending                  // it was asked to stop
	Running                 // it runs, and its pools are well
	Ended                   // it ended with status 0
)

// looks are a state's word, the shape that stands before it, and its class in panel.css.
var looks = [...]struct{ word, shape, class string }{
	Gone:       {"gone", "✕", "bad"},
	Depleted:   {"depleted", "▼", "bad"},
	Failed:     {"failed", "◼", "bad"},
	Restarting: {"restarting", "↻", "warn"},
	Low:        {"low", "▽", "warn"},
	Unknown:    {"unknown", "?", "dim"},
	Ending:     {"ending", "◐", "dim"},
	Running:    {"running", "●", "good"},
	Ended:      {"ended", "○", "dim"},
}

func (s State) String() string { return looks[s].word }

// Shape is a sign that tells the state without colour.
func (s State) Shape() string { return looks[s].shape }

// Class is the state's class in panel.css.
func (s State) Class() string { return looks[s].class }

// MarshalText is String, for the API.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// lowBelow is the share of a pool's cap below which the app's state is Low.
const lowBelow = 1. / 3

// state says how the app is, by what its runs say and by its pools.
func (a *app) state(now *fleet.App) State {
	state := Unknown
	switch now.State {
	case fleet.IsKilled:
		return Gone
	case fleet.IsEnded:
		if state = Ended; now.Exit != 0 {
			state = Failed
		}
	case fleet.IsRunning:
		state = Running
	case fleet.IsRestarting:
		state = Restarting
	case fleet.IsEnding:
		state = Ending
	}
	leased := len(now.Runs) > 0
	low := Running
	for _, p := range a.pools {
		health, kept := p.Get("health")
		running, known := p.Get("running")
		switch {
		case known && running == 0 || state != Running && state != Unknown:
		case !kept && known && !leased:
			return Gone
		case kept && health <= 0:
			return Depleted
		case kept && float64(p.share()) < lowBelow:
			low = Low
		}
		if kept && running == 1 {
			leased = true
		}
	}
	switch {
	case a.leased && !leased && (state == Running || state == Unknown):
		return Gone
	case state == Unknown && leased, state == Running:
		return low
	}
	return state
}
