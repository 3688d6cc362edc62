package resp

import (
	"errors"
	"strconv"
)

// ErrNil says that there is no value where one was wanted.
var ErrNil = errors.New("redis: nil is the answer")

// errOther says that an answer is of another kind than was wanted.
var errOther = errors.New("redis: an answer of another kind")

// other is why v is not what was wanted, where err came with it.
func other(v any, err error) error {
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		return ErrNil
	case Error:
		return v
	}
	return errOther
}

// String returns the text of an answer that came with err.
func String(v any, err error) (string, error) {
	if err == nil {
		switch v := v.(type) {
		case string:
			return v, nil
		case []byte:
			return string(v), nil
		}
	}
	return "", other(v, err)
}

// Values returns the array that came with err.
func Values(v any, err error) ([]any, error) {
	if list, ok := v.([]any); ok && err == nil {
		return list, nil
	}
	return nil, other(v, err)
}

// Int returns the whole number, or the text of one, that came with err.
func Int(v any, err error) (int, error) {
	if n, ok := v.(int64); ok && err == nil {
		return int(n), nil
	}
	text, err := String(v, err)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// Field returns what follows a name in an array of names and values in turn, nil if
// nothing does.
func Field(list []any, name string) any {
	for i := 0; i+1 < len(list); i += 2 {
		if text, _ := String(list[i], nil); text == name {
			return list[i+1]
		}
	}
	return nil
}

// Fields returns the bulk strings of an array that came with err; one that is nil is
// empty.
func Fields(v any, err error) ([][]byte, error) {
	list, err := Values(v, err)
	if err != nil {
		return nil, err
	}
	fields := make([][]byte, len(list))
	for i, v := range list {
		if text, ok := v.([]byte); ok {
			fields[i] = text
		} else if v != nil {
			return nil, other(v, nil)
		}
	}
	return fields, nil
}
