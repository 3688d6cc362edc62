package entry

import (
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

func TestReadJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 21, 0, 0, 7, time.UTC)
	message, _ := messages().Append(nil, []byte(`{"level":"error","msg":"a \"b\"","k":"v","s\u0065q":[1,`+"\n"+` 2],"e":"","u":"x y"}`), Meta{Received: at})
	m, ok := ReadJSON(message)
	if !ok || !m.Time.Equal(at) || m.Level != loglevel.Error || string(m.Text) != `a "b"` {
		t.Fatalf("%s is read as %+v, %v", message, m, ok)
	}
	var text []byte
	for _, f := range m.Fields {
		text = append(append(text, f.Key...), '=')
		text = append(f.AppendText(text), ' ')
	}
	if want := `k=v app.seq=[1, 2] e="" u="x y" `; string(text) != want {
		t.Errorf("fields %q, want %q", text, want)
	}
	for _, text := range []string{
		"",
		"text",
		`{"time":"2026-11-23T21:00:00Z","level":"ERROR","msg":"the app's own"}`,
		`{"time":"2026-11-23T21:00:00Z","level":"ERROR","msg":1,"service":"","source":"","run":"","pid":1,"seq":1}`,
		`{"time":"never","level":"ERROR","msg":"","service":"","source":"","run":"","pid":1,"seq":1}`,
		`{"time":"2026-11-23T21:00:00Z","level":"","msg":"","service":"","source":"","run":"","pid":1,"seq":1}`,
		string(message[:len(message)-1]),
	} {
		if m, ok := ReadJSON([]byte(text)); ok {
			t.Errorf("%s is read as %+v", text, m)
		}
	}
}
