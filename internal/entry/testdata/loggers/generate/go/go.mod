module gen

go 1.26

require (
	github.com/go-logr/logr v1.4.1 // indirect
	github.com/golang/glog v1.2.5 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/rs/zerolog v1.35.1 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
	golang.org/x/sys v0.29.0 // indirect
	k8s.io/klog/v2 v2.140.0 // indirect
)
