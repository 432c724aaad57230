package etcd

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// newLogger returns a logger for etcd that writes to the log of this process
// what is of the level or above. etcd panics where its files cannot be used; the
// line with the reason tells more than a stack trace after it.
func newLogger(level zapcore.LevelEnabler) *zap.Logger {
	return zap.New(&core{LevelEnabler: level, logger: klog.Background().WithName("etcd")},
		zap.WithPanicHook(exit{}), zap.WithFatalHook(exit{}))
}

// exit ends the process after a line that etcd cannot live with.
type exit struct{}

func (exit) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) {
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
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
