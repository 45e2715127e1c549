package asyncconnect

import (
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	async "github.com/asyncpb/async/runtime"
)

// Mount is [connecthttp.Mount] with a limit on what is read for each rpc, after decompression: its max_message_bytes in the
// configuration of rt, 1 MiB by default. Connect's own default is no limit. options are connecthttp's and win. How long a
// client may take is up to the [net/http.Server]: set its ReadHeaderTimeout and ReadTimeout.
func Mount(rt *async.Runtime, mux connecthttp.ServeMux, server *connect.Server, options ...connecthttp.Option) {
	limit := connecthttp.WithConditionalOptions(func(spec connect.Spec) []connecthttp.Option {
		most := rt.Carrier(strings.TrimPrefix(spec.Procedure, "/"), "").MaxMessageBytes
		return []connecthttp.Option{connecthttp.WithReadMaxBytes(int(most))}
	})
	connecthttp.Mount(mux, server, append([]connecthttp.Option{limit}, options...)...)
}
