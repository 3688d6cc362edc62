package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadBoards(t *testing.T) {
	t.Parallel()
	load := func(name, text string) ([]Board, error) {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadBoards(file)
	}
	boards, err := load("boards.toml", "[boards.right]\nurl = \"rediss://10.0.0.3\"\nusername = \"panel\"\npassword_file = \"/run/secrets/x\"\n"+
		"[boards.right.tls]\nca_file = \"/ca.pem\"\n[boards.left]\nhost = \"10.0.0.2\"\n")
	if err != nil || len(boards) != 2 || boards[0].Name != "left" || boards[1].Redis.TLS.CAFile != "/ca.pem" || boards[1].Redis.Username != "panel" {
		t.Errorf("%+v, %v", boards, err)
	}
	if boards[0].Redis.Where() != "10.0.0.2:6379" || boards[0].Redis.LogsDB != 1 {
		t.Errorf("%+v", boards[0])
	}
	boards, err = load("wrapp.json", `{"redis": {"url": "redis://u:secret@h:1"}, "app": {"executable": "/x"}}`)
	if err != nil || len(boards) != 1 || boards[0].Name != "" || boards[0].Redis.Where() != "h:1" {
		t.Errorf("%+v, %v", boards, err)
	}
	boards, err = load("cluster.toml", "[boards.c]\ncluster.addrs = [\"h:1\"]\n")
	if err != nil || boards[0].Redis.ValuesDB != 0 {
		t.Errorf("%+v, %v", boards, err)
	}
	for text, want := range map[string]string{
		"[boards.left]\nhost = \"h\"\nprot = 1\n":   ":3: boards.left.prot: unknown key (did you mean boards.left.port?)",
		"[boards.left]\nport = 0\n":                 "boards.left.port: ",
		"[boards]\nleft = 1\n":                      ":2: boards.left: must be a table, is a whole number",
		"boards = 1\n":                              ":1: boards: must be a table",
		"[boards.left]\n[redis]\nhost = \"h\"\n":    ":2: redis: unknown key beside boards",
		"[boards.\"a b\"]\nhost = \"h\"\n":          "a board's name must not",
		"[boards.left]\nurl = \"redis://s@h\"\nx\n": "3",
	} {
		if boards, err := load("x.toml", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", text, boards, err)
		}
	}
	if _, err := LoadBoards("/none.toml"); err == nil || !strings.Contains(err.Error(), "/none.toml: cannot be read") {
		t.Error(err)
	}
	if _, err := LoadBoards("redis://:secret@h"); err == nil || !strings.Contains(err.Error(), "not a URL") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
