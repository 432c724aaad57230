package etcd

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// newLogger returns a logger for etcd that writes to the log of this process
// what is of the level or above. After a line that etcd cannot live with, which it
// writes where its files cannot be used, end is called.
func newLogger(level zapcore.LevelEnabler, end zapcore.CheckWriteHook) *zap.Logger {
	return zap.New(&core{LevelEnabler: level, logger: klog.Background().WithName("etcd")},
		zap.WithPanicHook(end), zap.WithFatalHook(end))
}

// exit ends the process: the line with the reason tells more than the stack trace
// of a panic after it.
type exit struct{}

// OnWrite implements zapcore.CheckWriteHook.
func (exit) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) {
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
}

// startup makes an error of a line that etcd cannot live with while it starts.
// Afterwards such a line ends the process.
type startup struct {
	failed chan error
	over   atomic.Bool
}

// OnWrite implements zapcore.CheckWriteHook.
func (s *startup) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	if s.over.Load() {
		exit{}.OnWrite(entry, fields)
	}
	text := entry.Message
	for pair := range slices.Chunk(keysAndValues(fields), 2) {
		text += fmt.Sprintf(", %v: %v", pair[0], pair[1])
	}
	s.fail(errors.New(text))
	runtime.Goexit()
}

// fail keeps the first error, which is the cause of others.
func (s *startup) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// core is a zapcore.Core on klog.
type core struct {
	zapcore.LevelEnabler
	logger klog.Logger
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{LevelEnabler: c.LevelEnabler, logger: c.logger.WithValues(keysAndValues(fields)...)}
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Level >= zapcore.ErrorLevel {
		c.logger.Error(nil, entry.Message, keysAndValues(fields)...)
	} else {
		c.logger.Info(entry.Message, keysAndValues(fields)...)
	}
	return nil
}

func (*core) Sync() error { return nil }

func keysAndValues(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	flat := make([]any, 0, 2*len(fields))
	for _, field := range fields {
		field.AddTo(encoder)
		flat = append(flat, field.Key, encoder.Fields[field.Key])
	}
	return flat
}
