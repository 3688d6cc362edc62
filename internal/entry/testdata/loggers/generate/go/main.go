// Command generate prints what Go's loggers print, a file each in the folder
// named: go run . ../..
package main

import (
	"bytes"
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/golang/glog"
	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

var dir = os.Args[1]

// text is what each logger says at a level; the tests read the level out of it.
func text(level string) string { return "speaks at " + level + ", \"quoted\" and café" }

func write(name string, b []byte) {
	if err := os.WriteFile(filepath.Join(dir, name+".log"), b, 0o644); err != nil {
		log.Fatal(err)
	}
}

func main() {
	zaps()
	zerologs()
	logruses()
	slogs()
	logs()
	klogs()
	glogs() // last: it needs the real stderr
}

func zaps() {
	var b bytes.Buffer
	for _, config := range []zapcore.EncoderConfig{zap.NewProductionEncoderConfig(), zap.NewDevelopmentEncoderConfig()} {
		for _, encode := range []zapcore.TimeEncoder{config.EncodeTime, zapcore.EpochMillisTimeEncoder, zapcore.EpochNanosTimeEncoder, zapcore.RFC3339NanoTimeEncoder, zapcore.ISO8601TimeEncoder} {
			config.EncodeTime = encode
			say(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.AddSync(&b), zap.DebugLevel), zap.AddCaller()))
		}
	}
	write("zap", b.Bytes())
	b.Reset()
	config := zap.NewDevelopmentEncoderConfig()
	for _, encode := range []zapcore.LevelEncoder{zapcore.CapitalLevelEncoder, zapcore.CapitalColorLevelEncoder} {
		config.EncodeLevel = encode
		say(zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.AddSync(&b), zap.DebugLevel), zap.AddCaller()))
	}
	write("zap-console", b.Bytes())
}

func say(l *zap.Logger) {
	fields := []zap.Field{zap.String("service", "own"), zap.Int("sensor", 3), zap.Uint64("big", 18446744073709551615), zap.Any("nested", map[string]any{"a": []int{1, 2}})}
	l.Debug(text("debug"), fields...)
	l.Info(text("info"), fields...)
	l.Warn(text("warn"), fields...)
	l.Error(text("error"), fields...)
	l.DPanic(text("fatal"), fields...)
}

func zerologs() {
	var b bytes.Buffer
	said := func(l zerolog.Logger) {
		for _, e := range []struct {
			event *zerolog.Event
			level string
		}{
			{l.Trace(), "trace"}, {l.Debug(), "debug"}, {l.Info(), "info"}, {l.Warn(), "warn"}, {l.Error(), "error"},
			{l.WithLevel(zerolog.FatalLevel), "fatal"}, {l.WithLevel(zerolog.PanicLevel), "panic"},
		} {
			e.event.Int("pid", 77).Uint64("big", 18446744073709551615).Float64("ratio", 0.1).Msg(text(e.level))
		}
	}
	for _, format := range []string{time.RFC3339, zerolog.TimeFormatUnix, zerolog.TimeFormatUnixMs, zerolog.TimeFormatUnixMicro, zerolog.TimeFormatUnixNano} {
		zerolog.TimeFieldFormat = format
		said(zerolog.New(&b).With().Timestamp().Logger())
	}
	write("zerolog", b.Bytes())
	b.Reset()
	zerolog.TimeFieldFormat = time.RFC3339Nano
	for _, plain := range []bool{true, false} {
		said(zerolog.New(zerolog.ConsoleWriter{Out: &b, NoColor: plain, TimeFormat: time.RFC3339}).With().Timestamp().Logger())
	}
	write("zerolog-console", b.Bytes())
	b.Reset()
	said(zerolog.New(zerolog.ConsoleWriter{Out: &b}).With().Timestamp().Logger())
	write("zerolog-console-timeless", b.Bytes())
}

func logruses() {
	said := func(format logrus.Formatter) []byte {
		var b bytes.Buffer
		l := logrus.New()
		l.SetOutput(&b)
		l.SetLevel(logrus.TraceLevel)
		l.SetFormatter(format)
		l.ExitFunc = func(int) {}
		e := l.WithFields(logrus.Fields{"source": "own", "sensor": 3, "level": "mine"})
		e.Trace(text("trace"))
		e.Debug(text("debug"))
		e.Info(text("info"))
		e.Warn(text("warn"))
		e.Error(text("error"))
		e.Fatal(text("fatal"))
		return b.Bytes()
	}
	write("logrus", said(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}))
	write("logrus-text", said(&logrus.TextFormatter{DisableColors: true}))
	write("logrus-colour-timeless", said(&logrus.TextFormatter{ForceColors: true}))
	write("logrus-colour", said(&logrus.TextFormatter{ForceColors: true, FullTimestamp: true}))
}

func slogs() {
	said := func(name string, handler func(*bytes.Buffer) slog.Handler) {
		var b bytes.Buffer
		l := slog.New(handler(&b))
		for _, e := range []struct {
			level slog.Level
			name  string
		}{
			{-8, "trace"}, {slog.LevelDebug, "debug"}, {slog.LevelInfo, "info"}, {2, "notice"}, {slog.LevelWarn, "warn"}, {slog.LevelError, "error"}, {12, "fatal"},
		} {
			l.Log(context.Background(), e.level, text(e.name), "service", "own", "run", 9, slog.Group("g", "a", 1.5, "b", []string{"x"}))
		}
		write(name, b.Bytes())
	}
	options := &slog.HandlerOptions{Level: slog.Level(-8), AddSource: true}
	said("slog", func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, options) })
	said("slog-text", func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, options) })
}

func logs() {
	var b bytes.Buffer
	for _, flags := range []int{log.LstdFlags, log.LstdFlags | log.Lmicroseconds | log.Lshortfile, log.LstdFlags | log.LUTC | log.Lmsgprefix} {
		for _, level := range []string{"debug", "info", "warn", "error"} {
			log.New(&b, map[string]string{"debug": "DEBUG: ", "info": "INFO: ", "warn": "WARNING: ", "error": "ERROR: "}[level], flags).Print(text(level))
		}
		log.New(&b, "", flags).Print("[WARN] " + text("warn"))
		log.New(&b, "", flags).Print(text("none"))
	}
	write("log", b.Bytes())
}

func klogs() {
	var b bytes.Buffer
	fs := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(fs)
	fs.Set("logtostderr", "false")
	fs.Set("one_output", "true")
	fs.Set("stderrthreshold", "FATAL")
	klog.SetOutput(&b)
	klog.OsExit = func(int) {}
	klog.Info(text("info"))
	klog.Warning(text("warn"))
	klog.Error(text("error"))
	klog.InfoS(text("info"), "sensor", 3)
	klog.ErrorS(os.ErrNotExist, text("error"), "sensor", 3)
	klog.Flush()
	write("klog", b.Bytes())
}

func glogs() {
	file, err := os.Create(filepath.Join(dir, "glog.log"))
	if err != nil {
		log.Fatal(err)
	}
	os.Stderr = file
	flag.Set("logtostderr", "true")
	glog.Info(text("info"))
	glog.Warning(text("warn"))
	glog.Error(text("error"))
	glog.Flush()
}
