//go:build !linux

package load

import "time"

func rest(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
