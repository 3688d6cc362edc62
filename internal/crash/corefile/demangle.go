package corefile

func demangle(name string) string { return name }
