package panel

import "github.com/lpportorino/jettison-base-images/internal/fleet"

// A State is the state of an app, the worst first.
type State int

// The states.
const (
	Gone       State = iota // it ran, and its lease has run out
	Depleted                // it runs, and a pool is empty
	Failed                  // it ended with a status other than 0
	Restarting              // it ended, and wrapp is about to start it again
	Low                     // it runs, and a pool is below a third of its cap
	Unknown                 // the board is away, or Redis does not have its state
	Ending                  // it ended, and wrapp delivers what is left
	Running                 // it runs, and its pools are well
	Ended                   // it ended with status 0
)

// looks has each state's word, the shape before it, and its class in panel.css.
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

// Shape returns a sign that shows the state without colour.
func (s State) Shape() string { return looks[s].shape }

// Class returns the state's class in panel.css.
func (s State) Class() string { return looks[s].class }

// MarshalText is String, for the API.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// lowBelow is the share of a pool's cap below which the app's state is Low.
const lowBelow = 1. / 3

// state returns the app's state, by its pools and by what its runs say.
func (a *app) state(byInstances *fleet.App) State {
	state := Unknown
	switch byInstances.State {
	case fleet.IsKilled:
		return Gone
	case fleet.IsEnded:
		if state = Ended; byInstances.Exit != 0 {
			state = Failed
		}
	case fleet.IsRunning:
		state = Running
	case fleet.IsRestarting:
		state = Restarting
	case fleet.IsEnding:
		state = Ending
	}
	leased := len(byInstances.Instances) > 0 // something of this app has a lease
	low := Running
	for _, p := range a.pools {
		health, kept := p.Get("health")
		running, known := p.Get("running")
		switch {
		case known && running == 0 || state != Running && state != Unknown: // the app, or this pool, has ended
		case !kept && known && !leased: // its lease has run out
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
	case a.leased && !leased && (state == Running || state == Unknown): // there was a lease
		return Gone
	case state == Unknown && leased, state == Running:
		return low
	}
	return state
}
