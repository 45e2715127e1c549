package trial

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// statements are what a node is asked about, when something did not go as it must.
var statements = [][]string{
	{"list_queues", "name", "type", "leader", "online", "members", "state", "messages_ready", "messages_unacknowledged", "consumers"},
	{"list_connections", "name", "pid", "state", "channels", "recv_oct", "send_oct", "send_pend", "client_properties"},
	{"list_channels", "pid", "connection", "number", "confirm", "messages_unconfirmed", "messages_unacknowledged", "consumer_count", "prefetch_count"},
	{"list_consumers"},
	{"cluster_status"},
}

// testify keeps what tells why a trial failed, in a folder of its own below that for evidence: the journals, what both
// processes logged and what each of their goroutines was at, the logs of the nodes, and what these say of themselves. The
// processes end.
func (s *session) testify(ctx context.Context) error {
	folder := filepath.Join(s.Evidence, s.fault.Number+"-"+s.queue+"-"+time.Now().UTC().Format("150405"))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var errs []error
	for _, n := range s.brokers() {
		place := filepath.Join(folder, strings.TrimSuffix(n.Name(), "@localhost"))
		errs = append(errs, os.Mkdir(place, 0o755), n.CopyLogs(place))
		if !n.Running() {
			continue
		}
		for _, statement := range statements {
			out, err := n.Control(ctx, append(statement[:1:1], append([]string{"--timeout", "10"}, statement[1:]...)...)...)
			if err != nil {
				out = err.Error()
			}
			errs = append(errs, os.WriteFile(filepath.Join(place, statement[0]), []byte(out+"\n"), 0o644))
		}
	}
	for _, p := range []party{s.producer, s.consumer} {
		if p != nil && p.running() {
			p.testify()
		}
	}
	return errors.Join(errors.Join(errs...), copyFiles(folder, s.dir))
}

// copyFiles copies the files of a folder to another.
func copyFiles(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
