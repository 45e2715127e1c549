package memorytransport

import (
	"runtime"
	"sync"
)

// lock is a mutex for what is done in less time than a goroutine takes to wait and to be woken. Who finds it taken looks
// again for a few microseconds, also where sync.Mutex does not: when other goroutines are ready to run, or when the garbage
// collector uses the idle processor. There the goroutine that is woken would stand behind them for a hundred times as long.
type lock struct{ mu sync.Mutex }

// looks is how often that is.
const looks = 300

func (l *lock) Lock() {
	if l.mu.TryLock() {
		return
	}
	if runtime.GOMAXPROCS(0) > 1 {
		for range looks {
			if l.mu.TryLock() {
				return
			}
		}
	}
	l.mu.Lock()
}

func (l *lock) Unlock() { l.mu.Unlock() }
