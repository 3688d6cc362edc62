// Wrapp runs one app and streams its output to Redis.
package main

import "github.com/lpportorino/jettison-base-images/internal/command"

func main() { command.Main(command.Wrapp) }
