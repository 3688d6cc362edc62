// Wrapp runs one app and streams what it says to Redis.
package main

import "github.com/lpportorino/jettison-base-images/internal/command"

func main() { command.Main(command.Wrapp) }
