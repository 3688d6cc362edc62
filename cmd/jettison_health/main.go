// Jettison_health prints health pools from Redis.
package main

import "github.com/lpportorino/jettison-base-images/internal/command"

func main() { command.Main(command.JettisonHealth) }
