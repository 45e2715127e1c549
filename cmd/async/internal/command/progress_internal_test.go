package command

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		terminal bool
		pause    time.Duration
		want     string
	}{
		{"a terminal has one line that changes, and then goes", true, 60 * time.Millisecond, "\rreplayed 2 of 4\rreplayed 4 of 4\r\x1b[K"},
		{"elsewhere a line comes now and then", false, 3 * time.Second, "replayed 2 of 4\nreplayed 4 of 4\n"},
		{"a short job says nothing", true, time.Millisecond, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := newProgress(&out, "replayed", 4, tt.terminal)
				for range 4 {
					<-time.After(tt.pause)
					p.step()
				}
				p.end()
				if got := out.String(); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}
