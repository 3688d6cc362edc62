package health

import "log/slog"

// A streak counts failures in a row.
type streak struct{ failures int }

// log logs the first failure of a row, and its end. The message is failed or again, with args.
func (s *streak) log(log *slog.Logger, err error, failed, again string, args ...any) {
	switch {
	case err == nil && s.failures > 0:
		log.Info(again, append(args, "failures", s.failures)...)
		s.failures = 0
	case err != nil:
		if s.failures++; s.failures == 1 {
			log.Warn(failed, append(args, "error", err)...)
		}
	}
}
