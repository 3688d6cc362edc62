package config

import (
	"encoding/json"
	"reflect"
	"strings"
)

// A schema is the part of JSON Schema (draft 2020-12) that a configuration needs.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"` // a string or several
	Enum        []string           `json:"enum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Comments    map[string]*schema `json:"patternProperties,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or a *schema
	Required    []string           `json:"required,omitempty"`
	Default     any                `json:"default,omitempty"`
}

// Schema returns the JSON Schema of the configuration, with each key's meaning from the
// reference. It ends with a line end.
func Schema() []byte {
	means := make(map[string]string)
	for _, row := range reference {
		means[row.key] = row.meaning
	}
	root := schemaOf("", reflect.TypeFor[Config](), reflect.ValueOf(Default()).Elem(), means)
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "Configuration of wrapp and jettison_health"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("config: the schema is no JSON: " + err.Error()) // of our own types
	}
	return append(text, '\n')
}

// schemaOf returns the schema of a key of type t. v is its default value, invalid for none.
func schemaOf(key string, t reflect.Type, v reflect.Value, means map[string]string) *schema {
	s := &schema{Description: means[key], Enum: wordsOf[key]}
	if t.Kind() == reflect.Pointer {
		t, v = t.Elem(), reflect.Value{}
	}
	if v.IsValid() && (v.Kind() != reflect.String || v.String() != "") {
		s.Default = v.Interface()
	}
	switch t {
	case reflect.TypeFor[Duration](), reflect.TypeFor[Secret](), reflect.TypeFor[URL]():
		s.Type = "string"
		return s
	case reflect.TypeFor[Size](), reflect.TypeFor[Signal]():
		s.Type = []string{"string", "integer"}
		return s
	}
	switch t.Kind() {
	case reflect.String:
		s.Type = "string"
	case reflect.Bool:
		s.Type = "boolean"
	case reflect.Int, reflect.Int64:
		s.Type = "integer"
	case reflect.Slice:
		s.Type, s.Default = "array", nil
		s.Items = &schema{Type: "string"}
	case reflect.Map:
		s.Type, s.Default = "object", nil
		s.Additional = schemaOf(join(key, anyName), t.Elem(), reflect.Value{}, means)
		if t.Elem().Kind() == reflect.Struct {
			s.Additional = schemaOf(key+"."+anyName, t.Elem(), reflect.Value{}, means)
			s.Comments = comments
		}
	case reflect.Struct:
		s.Type, s.Default, s.Additional = "object", nil, false
		s.Properties, s.Comments = make(map[string]*schema), comments
		for i, name := range keysOf(t) {
			whole := strings.TrimPrefix(key+"."+name, ".")
			var field reflect.Value
			if v.IsValid() {
				field = v.Field(i)
			}
			s.Properties[name] = schemaOf(whole, t.Field(i).Type, field, means)
			if mustBeSaid[whole] {
				s.Required = append(s.Required, name)
			}
		}
	}
	return s
}

// comments allows keys that begin with _, which are comments.
var comments = map[string]*schema{"^_": {}}
