package asyncconnect

import (
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	async "github.com/asyncpb/async/runtime"
)

// Mount is [connecthttp.Mount] with a limit on what is read for each rpc, after decompression: its max_message_bytes in the
// configuration of rt, 1 MiB by default. Without Mount it is Connect's own for all of them, 4 MiB by default: what is smaller and yet
// too large for its rpc is read, and refused when it is to be sent. options are connecthttp's and win; WithReadMaxBytes(0) among
// them lifts every limit. How long a client may take is up to the [net/http.Server]: set its ReadHeaderTimeout and ReadTimeout.
func Mount(rt *async.Runtime, mux connecthttp.ServeMux, server *connect.Server, options ...connecthttp.Option) {
	limit := connecthttp.WithConditionalOptions(func(spec connect.Spec) []connecthttp.Option {
		most := rt.Carrier(strings.TrimPrefix(spec.Procedure, "/"), "").MaxMessageBytes
		return []connecthttp.Option{connecthttp.WithReadMaxBytes(int(most))}
	})
	connecthttp.Mount(mux, server, append([]connecthttp.Option{limit}, options...)...)
}
