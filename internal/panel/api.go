package panel

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// api adds the handlers of the API, which docs/panel.md describes.
func (s *Server) api(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/boards", func(w http.ResponseWriter, r *http.Request) {
		s.json(w, r, map[string]any{"boards": s.boardViews()})
	})
	mux.HandleFunc("GET /api/v1/apps", func(w http.ResponseWriter, r *http.Request) {
		s.json(w, r, map[string]any{"apps": append([]AppView{}, s.appViews(1)...)})
	})
	mux.HandleFunc("GET /api/v1/apps/{app}", s.apiApp)
	mux.HandleFunc("GET /api/v1/apps/{app}/history", s.apiHistory)
	mux.HandleFunc("GET /api/v1/apps/{app}/log", s.apiLog)
	mux.HandleFunc("GET /api/v1/apps/{app}/crashes", func(w http.ResponseWriter, r *http.Request) {
		if b, v, ok := s.findApp(w, r, 1); ok {
			s.json(w, r, map[string]any{"groups": s.groups(b.name, v.Name)})
		}
	})
	mux.HandleFunc("GET /api/v1/apps/{app}/crashes/{id}", s.apiCrash)
	mux.HandleFunc("GET /api/v1/crashes", func(w http.ResponseWriter, r *http.Request) {
		s.json(w, r, map[string]any{"groups": s.groups("", "")})
	})
}

func (s *Server) json(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.problem(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	s.send(w, r, http.StatusOK, "application/json", append(body, '\n'))
}

func (s *Server) apiApp(w http.ResponseWriter, r *http.Request) {
	b, view, ok := s.findApp(w, r, 1)
	if !ok {
		return
	}
	values, more, err := b.readValues(r.Context(), view.Name)
	if err != nil {
		s.failed(w, r, b, err)
		return
	}
	named := make(map[string]string, len(values))
	for _, v := range values {
		named[v[0]] = v[1]
	}
	s.json(w, r, struct {
		AppView
		Values map[string]string `json:"values"`
		More   int               `json:"values_left_out"`
		Events []Event           `json:"events"`
	}{view, named, more, append([]Event{}, view.events...)})
}

// apiHistory answers with the last hour in 360 steps of 10 s; an unknown value is null.
func (s *Server) apiHistory(w http.ResponseWriter, r *http.Request) {
	_, view, ok := s.findApp(w, r, 360)
	if !ok {
		return
	}
	pools := make(map[string][]*float32)
	for i := range view.Pools {
		pools[view.Pools[i].Category] = nullable(view.Pools[i].history)
	}
	s.json(w, r, map[string]any{
		"end": view.now, "step_seconds": span / 360, "pools": pools,
		"lines_per_second": nullable(view.lines), "errors_per_second": nullable(view.errors),
	})
}

// nullable returns values with nil for those that JSON cannot express.
func nullable(values []float32) []*float32 {
	out := make([]*float32, len(values))
	for i, v := range values {
		if !isUnknown(v) && !math.IsInf(float64(v), 0) {
			out[i] = &v
		}
	}
	return out
}

func (s *Server) apiLog(w http.ResponseWriter, r *http.Request) {
	q, b, view, ok := s.findLog(w, r)
	if !ok {
		return
	}
	var page *Page
	err := b.asks.do(r.Context(), func(ctx context.Context, logs, _ *redisconn.Client) (err error) {
		page, err = q.page(ctx, logs, view.Name)
		return err
	})
	if err != nil {
		s.failed(w, r, b, err)
		return
	}
	s.json(w, r, page)
}

func (s *Server) apiCrash(w http.ResponseWriter, r *http.Request) {
	b, view, ok := s.findApp(w, r, 1)
	if !ok {
		return
	}
	one, err := b.readReport(r.Context(), view.Name, r.PathValue("id"))
	if errors.Is(err, errNoReport) {
		s.problem(w, r, http.StatusNotFound, err.Error())
		return
	}
	if err != nil {
		s.failed(w, r, b, err)
		return
	}
	fields := make(map[string]string)
	for _, f := range one.Fields {
		fields[f[0]] = f[1]
	}
	s.json(w, r, struct {
		Crash
		Fields  map[string]string `json:"fields"`
		Message string            `json:"message"`
	}{one.Crash, fields, one.text})
}
