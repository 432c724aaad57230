// Package intern has equal text of many objects take memory once.
//
// It knows nothing of the objects. The watch cache and the controllers hold
// lifecycles by the thousand that repeat the templates of their policy.
package intern

import (
	"reflect"
	"sync"
)

// generation is how many texts are remembered before those are forgotten that
// did not come again meanwhile: names and UIDs never do.
const generation = 4096

// Pool remembers text that was seen lately. The zero Pool is ready to use.
type Pool struct {
	mu      sync.Mutex
	strings lately[string]
	bytes   lately[[]byte]
}

// Share replaces the strings and byte slices that object, a pointer, leads to by
// equal ones that were seen before. Nobody may write to such a byte slice. Maps
// are left alone.
func (p *Pool) Share(object any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share(reflect.ValueOf(object).Elem())
}

func (p *Pool) share(value reflect.Value) {
	if !value.CanSet() { // within time.Time
		return
	}
	switch value.Kind() {
	case reflect.String:
		text := value.String()
		value.SetString(p.strings.get(text, text))
	case reflect.Pointer:
		if !value.IsNil() {
			p.share(value.Elem())
		}
	case reflect.Struct:
		for i := range value.NumField() {
			p.share(value.Field(i))
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			if bytes := value.Bytes(); len(bytes) > 0 {
				value.SetBytes(p.bytes.get(string(bytes), bytes))
			}
			return
		}
		for i := range value.Len() {
			p.share(value.Index(i))
		}
	}
}

// lately holds what was asked for in this generation and the one before.
type lately[V any] struct{ now, before map[string]V }

// get returns the value that was seen with this key before, or else this one.
func (l *lately[V]) get(key string, value V) V {
	if known, ok := l.now[key]; ok {
		return known
	}
	if known, ok := l.before[key]; ok {
		value = known
	}
	if l.now == nil || len(l.now) >= generation {
		l.now, l.before = map[string]V{}, l.now
	}
	l.now[key] = value
	return value
}
