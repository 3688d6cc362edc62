package config

import (
	"maps"
	"slices"
	"strings"
)

// A Board is a Redis with a name for people. Without one it goes by its address.
type Board struct {
	Name  string
	Redis Redis
}

// LoadBoards reads a file, TOML or JSON, with a table [boards.NAME] for each board, whose keys
// are those of [redis]. A configuration of wrapp is one board without a name. The boards are
// sorted by name. The error is an Errors with all mistakes. LoadBoards opens no files that the
// configuration names.
func LoadBoards(path string) ([]Board, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	doc := readDocument(path, data)
	if doc.root["boards"] == nil {
		c, err := doc.config(path)
		if err != nil {
			return nil, err
		}
		return []Board{{Redis: c.Redis}}, nil
	}
	errs := doc.errs
	tables, ok := doc.root["boards"].(map[string]any)
	if !ok {
		errs.add("boards", "must be a table: [boards.NAME]", "")
	}
	for name := range doc.root {
		if name != "boards" && !strings.HasPrefix(name, "_") {
			errs.add(name, "unknown key beside boards", "the keys of [redis] stand in [boards.NAME]")
		}
	}
	var boards []Board
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		key := join("boards", name)
		if !isName(name) {
			errs.add(key, "a board's name "+nameRule, "")
		}
		c, wrong := decode(doc.board(key, tables[name]))
		for _, e := range wrong {
			e.Key = key + strings.TrimPrefix(e.Key, "redis")
			e.Hint = strings.ReplaceAll(e.Hint, "redis.", key+".")
			errs = append(errs, e)
		}
		if c != nil {
			boards = append(boards, Board{name, c.Redis})
		}
	}
	errs.place(path, doc.lines)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return boards, nil
}

// board returns a document whose redis is the table of a board.
func (d *document) board(key string, table any) *document {
	lines := make(map[string]int)
	for k, line := range d.lines {
		if k == key || strings.HasPrefix(k, key+".") {
			lines["redis"+strings.TrimPrefix(k, key)] = line
		}
	}
	return &document{root: map[string]any{"redis": table}, lines: lines}
}

// Where returns Redis's address for people, without user and password.
func (r *Redis) Where() string {
	switch {
	case r.Sentinel != nil:
		return r.Sentinel.Master
	case r.Cluster != nil && len(r.Cluster.Addrs) > 0:
		return r.Cluster.Addrs[0]
	}
	_, addr := r.Address()
	return addr
}
