// Package logstream names the log streams of an app in Redis.
package logstream

// A Stream is one of the log streams that an app has.
type Stream uint8

// The streams, in the order of their keys in Keys.
const (
	Info   Stream = iota // the app's output
	Status               // what wrapp did
	Error                // what wrapp could not do
	Crash                // crash and hang reports
	Count                // how many there are
)

var names = [Count]string{"info", "status", "error", "crash"}

// String returns the last part of the stream's key.
func (s Stream) String() string { return names[s] }

// Keys returns the Redis keys of the streams of the app called name.
func Keys(name string) (keys [Count]string) {
	for s := range keys {
		keys[s] = "logs:app:" + name + ":" + names[s]
	}
	return keys
}
