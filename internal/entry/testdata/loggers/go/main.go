// Go prints the same few lines with the loggers of the Go world.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// show prints what f writes, a line each, behind the logger's name.
func show(name string, f func(w io.Writer)) {
	var b bytes.Buffer
	f(&b)
	for line := range strings.Lines(b.String()) {
		fmt.Printf("%s\t%s\n", name, strings.TrimSuffix(line, "\n"))
	}
}

func main() {
	err := errors.New("no \"disk\"")
	zaps := func(name string, enc zapcore.Encoder) {
		show(name, func(w io.Writer) {
			l := zap.New(zapcore.NewCore(enc, zapcore.AddSync(w), zap.DebugLevel)).Named("cam")
			l.Debug("d")
			l.Info("started", zap.Int("fps", 30))
			l.Warn("warm", zap.Float64("t", 71.5))
			l.Error("gone", zap.Error(err))
			l.DPanic("bad")
		})
	}
	zaps("zap-production", zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()))
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime, c.EncodeLevel = zapcore.ISO8601TimeEncoder, zapcore.CapitalLevelEncoder
	zaps("zap-iso", zapcore.NewJSONEncoder(c))
	c.EncodeTime = zapcore.EpochNanosTimeEncoder
	zaps("zap-nanos", zapcore.NewJSONEncoder(c))
	zaps("zap-development", zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()))

	zeros := func(w io.Writer) {
		l := zerolog.New(w).With().Timestamp().Logger()
		l.Trace().Msg("t")
		l.Debug().Msg("d")
		l.Info().Int("fps", 30).Msg("started")
		l.Warn().Float64("t", 71.5).Msg("warm")
		l.Error().Err(err).Msg("gone")
		l.WithLevel(zerolog.FatalLevel).Msg("bad")
	}
	show("zerolog", zeros)
	show("zerolog-console", func(w io.Writer) {
		zeros(zerolog.ConsoleWriter{Out: w, NoColor: true, TimeFormat: "2006-01-02T15:04:05Z07:00"})
	})
	show("zerolog-colour", func(w io.Writer) { zeros(zerolog.ConsoleWriter{Out: w, TimeFormat: "2006-01-02T15:04:05Z07:00"}) })
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnixMs
	show("zerolog-unixms", zeros)

	logruses := func(name string, f logrus.Formatter) {
		show(name, func(w io.Writer) {
			l := &logrus.Logger{Out: w, Formatter: f, Level: logrus.TraceLevel, Hooks: logrus.LevelHooks{}, ExitFunc: func(int) {}}
			l.Trace("t")
			l.Debug("d")
			l.WithField("fps", 30).Info("started")
			l.WithField("t", 71.5).Warn("warm")
			l.WithError(err).Error("gone")
			l.Fatal("bad")
		})
	}
	logruses("logrus-json", &logrus.JSONFormatter{})
	logruses("logrus-text", &logrus.TextFormatter{DisableColors: true})
	logruses("logrus-terminal", &logrus.TextFormatter{ForceColors: true})

	slogs := func(name string, h func(w io.Writer) slog.Handler) {
		show(name, func(w io.Writer) {
			l := slog.New(h(w))
			l.Debug("d")
			l.Info("started", "fps", 30)
			l.Warn("warm", "t", 71.5)
			l.Error("gone", "error", err)
			l.Log(nil, slog.LevelInfo+2, "between")
		})
	}
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	slogs("slog-json", func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, all) })
	slogs("slog-text", func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, all) })

	show("log", func(w io.Writer) { log.New(w, "", log.LstdFlags).Print("started") })
	show("log-micros", func(w io.Writer) { log.New(w, "", log.LstdFlags|log.Lmicroseconds|log.Lshortfile).Print("ERROR gone") })

	fs := flag.NewFlagSet("", flag.PanicOnError)
	klog.InitFlags(fs)
	fs.Set("logtostderr", "false")
	show("klog", func(w io.Writer) {
		klog.SetOutput(w)
		klog.Info("started")
		klog.Warning("warm")
		klog.Error("gone")
		klog.Flush()
	})
	os.Exit(0)
}
