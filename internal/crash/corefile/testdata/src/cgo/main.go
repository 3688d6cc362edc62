// C code, called by Go, reads from address 0.
package main

/*
__attribute__((noinline)) static int boom(volatile int *p) { return *p; }

static int between(int *p) { return boom(p) + 1; }
*/
import "C"

import "fmt"

//go:noinline
func outer(n int) int { return int(C.between(nil)) + n }

func main() { fmt.Println(outer(3)) }
