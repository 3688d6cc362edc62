package fleet

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/health"
	"github.com/lpportorino/jettison-base-images/internal/jsontext"
)

// Summary returns the app's state in a few words.
func (a *App) Summary() string {
	switch a.State {
	case IsEnded:
		return "ended " + strconv.Itoa(a.Exit)
	case IsKilled:
		if a.Down {
			return "killed: the machine went down"
		}
		return "killed: lease gone"
	}
	var more []string
	if n := len(a.Instances); n > 1 {
		more = append(more, strconv.Itoa(n)+" instances")
	}
	if a.Before != "" {
		more = append(more, "before: "+a.Before)
	}
	if len(more) == 0 {
		return a.State.String()
	}
	return a.State.String() + " (" + strings.Join(more, "; ") + ")"
}

// WriteTable writes a line for each app. An unknown value is "-".
func WriteTable(w io.Writer, apps []App) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"APP", "STATE", "SINCE", "RESTARTS", "WORST POOL", "ERRORS", "LAST CRASH", "WAITING"}
	if len(apps) > 0 {
		for _, lag := range apps[0].Lags {
			head = append(head, "LAG "+lag.Cursor)
		}
	}
	WriteRow(table, head...)
	for i := range apps {
		a := &apps[i]
		cells := []string{a.Name, a.Summary(), when(a.Since), "", poolSummary(a.Pool), strconv.Itoa(a.Errors), "", ""}
		if len(a.Instances) > 0 {
			cells[3], cells[7] = strconv.Itoa(a.Restarts), strconv.Itoa(a.Waiting)
		}
		if a.Errors == mostErrors {
			cells[5] += "+"
		}
		if c := a.Crash; c != nil {
			cells[6] = strings.TrimSpace(when(c.Time) + " " + c.What + " " + c.Signature)
		}
		for _, lag := range a.Lags {
			text := ""
			if lag.Entries >= 0 {
				text = strconv.FormatInt(lag.Entries, 10)
			}
			cells = append(cells, text)
		}
		WriteRow(table, cells...)
	}
	return table.Flush()
}

// WriteRow writes the cells of one row of a table, with tabs between them. A cell shows "-"
// for no text, and "?" for characters that could control a terminal: every writer of this
// Redis can name an app. Flush returns any error.
func WriteRow(table *tabwriter.Writer, cells ...string) {
	shown := make([]string, len(cells))
	for i, text := range cells {
		shown[i] = cell(text)
	}
	fmt.Fprintln(table, strings.Join(shown, "\t"))
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func cell(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func poolSummary(r *health.Reading) string {
	if r == nil {
		return ""
	}
	if running, _ := r.Get("running"); running == 0 {
		return r.Category + " ended"
	}
	if _, leased := r.Get("health"); !leased {
		return r.Category + " lease is gone"
	}
	return r.Category + " " + strconv.FormatFloat(100*share(r), 'f', 0, 64) + "%"
}

// WriteJSON writes {"apps": [{…}]}. An unknown value is left out.
func WriteJSON(w io.Writer, apps []App) error {
	type pool struct {
		Category string `json:"category"`
		Health   *int64 `json:"health,omitempty"`
		Cap      *int64 `json:"cap,omitempty"`
	}
	type crash struct {
		Time      string `json:"time"`
		What      string `json:"what"`
		Signature string `json:"signature,omitempty"`
		Frame     string `json:"frame,omitempty"`
	}
	type run struct {
		Instance    string `json:"instance"`
		Host        string `json:"host"`
		PID         int    `json:"pid"`
		AppPID      int    `json:"app_pid"`
		Started     string `json:"started,omitempty"`
		Run         string `json:"run"`
		State       string `json:"state"`
		Restarts    int    `json:"restarts"`
		LastExit    string `json:"last_exit,omitempty"`
		Lines       uint64 `json:"lines"`
		Dropped     uint64 `json:"dropped"`
		Spooled     int    `json:"spooled"`
		DeadLetters int    `json:"dead_letters"`
		Crashes     int    `json:"crashes"`
		Wrapp       string `json:"wrapp,omitempty"`
		Boot        string `json:"boot,omitempty"`
	}
	type app struct {
		Name     string `json:"name"`
		State    string `json:"state"`
		Exit     *int   `json:"exit,omitempty"`
		Since    string `json:"since,omitempty"`
		Before   string `json:"run_before,omitempty"`
		Restarts int    `json:"restarts"`
		Pool     *pool  `json:"worst_pool,omitempty"`
		Errors   int    `json:"errors"`
		Crash    *crash `json:"last_crash,omitempty"`
		Waiting  int    `json:"waiting"`

		Lags map[string]int64 `json:"lags,omitempty"`
		Runs []run            `json:"runs,omitempty"`
	}
	list := make([]app, 0, len(apps))
	for i := range apps {
		a := &apps[i]
		j := app{Name: a.Name, State: a.State.String(), Since: stamp(a.Since), Before: a.Before, Restarts: a.Restarts, Errors: a.Errors, Waiting: a.Waiting}
		if a.State == IsEnded {
			j.Exit = &a.Exit
		}
		if a.Pool != nil {
			j.Pool = &pool{Category: a.Pool.Category}
			if n, ok := a.Pool.Get("health"); ok {
				j.Pool.Health = &n
			}
			if n, ok := a.Pool.Get("cap"); ok {
				j.Pool.Cap = &n
			}
		}
		if c := a.Crash; c != nil {
			j.Crash = &crash{stamp(c.Time), c.What, c.Signature, c.Frame}
		}
		for _, lag := range a.Lags {
			if j.Lags == nil {
				j.Lags = make(map[string]int64)
			}
			if lag.Entries >= 0 {
				j.Lags[lag.Cursor] = lag.Entries
			}
		}
		for _, in := range a.Instances {
			j.Runs = append(j.Runs, run{
				in.ID, in.Host, in.PID, in.AppPID, stamp(in.Started), in.Stamp, in.State, in.Restarts, in.LastExit,
				in.Lines, in.Dropped, in.Spooled, in.DeadLetters, in.Crashes, in.Wrapp, in.Boot,
			})
		}
		list = append(list, j)
	}
	return jsontext.WriteDocument(w, map[string]any{"apps": list})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}
