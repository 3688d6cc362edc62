// Command cgo dies in C, by a wild store or by abort.
package main

/*
#include <stdlib.h>
#include <assert.h>
static void wild(void) { *(volatile int *)8 = 1; }
static void check(int n) { assert(n == 0); }
*/
import "C"

import "os"

func main() {
	switch os.Args[1] {
	case "segv":
		C.wild()
	case "assert":
		C.check(1)
	}
}
