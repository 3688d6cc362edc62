package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestSchema: the schema has every key with its meaning, words and default. A file of all
// defaults is the configuration of an empty one.
func TestSchema(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]any{}
	for i, key := range Keys() {
		node, file := root, defaults
		names := strings.Split(key, ".")
		for j, name := range names {
			if name == anyName {
				node, file = node["additionalProperties"].(map[string]any), nil
				continue
			}
			if j < len(names) && node["additionalProperties"] != false {
				t.Errorf("%s: an unknown key beside it is no error", key)
			}
			required, _ := node["required"].([]any)
			if j == len(names)-1 && slices.Contains(required, any(name)) != mustBeSaid[key] {
				t.Errorf("%s: required: %v", key, !mustBeSaid[key])
			}
			properties, _ := node["properties"].(map[string]any)
			if node, _ = properties[name].(map[string]any); node == nil {
				t.Fatalf("%s is not in the schema", key)
			}
			if v, ok := node["default"]; ok && file != nil {
				file[name] = v
			} else if file != nil && node["properties"] != nil && strings.Count(key, ".") == 0 {
				file[name] = map[string]any{}
			}
			file, _ = file[name].(map[string]any)
		}
		if node["description"] != reference[i].meaning {
			t.Errorf("%s: %q", key, node["description"])
		}
		var words []string
		for _, word := range anyList(node["enum"]) {
			words = append(words, word.(string))
		}
		if !slices.Equal(words, wordsOf[key]) {
			t.Errorf("%s: words %q, want %q", key, words, wordsOf[key])
		}
	}
	text, err := json.Marshal(defaults)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Redis.addressed = true
	if got, err := parse("x.json", text); err != nil || !reflect.DeepEqual(got, want) || len(text) < 500 {
		t.Errorf("%s\nis %+v, %v", text, got, err)
	}
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

// TestEnvironment: REDIS_URL is the address only if nothing else sets one.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const url = "redis://:pw@elsewhere:1"
	for data, want := range map[string]string{
		"":                                "elsewhere:1",
		"[redis]\nlogs_db = 3":            "elsewhere:1",
		"[redis]\nhost = 'localhost'":     "localhost:6379",
		"[redis]\nhost = ''":              "elsewhere:1",
		"[redis]\nport = 6379":            "localhost:6379",
		"[redis]\nurl = 'redis://h'":      "h:6379",
		"[redis]\nsocket = '/x'":          "/x",
		"redis.cluster.addrs = ['h:1']":   "",
		"[redis]\npassword_file = '/f'\n": "elsewhere:1",
	} {
		c, err := parse("x.toml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Redis.UseEnvironment(func(string) string { return url }); err != nil {
			t.Error(err)
		}
		if err := c.Check(); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		if _, got := c.Redis.Address(); got != want {
			t.Errorf("%q: %s, want %s", data, got, want)
		}
	}
	r := Default().Redis
	if err := r.SetURL("redis://flag"); err != nil {
		t.Fatal(err)
	}
	if err := r.UseEnvironment(func(string) string { return "nonsense" }); err != nil || r.URL != "redis://flag" {
		t.Errorf("%v, %v", r.URL, err)
	}
	r = Default().Redis
	if err := r.UseEnvironment(func(string) string { return "redis://:c4n4ry@h/3" }); err == nil || err.Error() != "REDIS_URL: "+urlDB {
		t.Error(err)
	}
}
