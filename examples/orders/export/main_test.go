package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/semconv/v1.43.0"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/asyncpb/async/examples/internal/console"
)

// receiver is a collector of OTLP over HTTP.
type receiver struct {
	mu     sync.Mutex
	scopes []*tracepb.ScopeSpans
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(data, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not a trace", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		c.scopes = append(c.scopes, resource.GetScopeSpans()...)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func TestTheTracesOfTheShopReachACollector(t *testing.T) {
	collected := new(receiver)
	server := httptest.NewServer(collected)
	defer server.Close()
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	var out strings.Builder
	if err := run(t.Context(), "memory://export", console.New(&out, 8, 1, 8)); err != nil {
		t.Fatalf("%v, after:\n%s", err, out.String())
	}
	names, kinds, traces := map[string]int{}, map[tracepb.Span_SpanKind]int{}, map[string]string{}
	for _, scope := range collected.scopes {
		if scope.GetScope().GetName() != "github.com/asyncpb/async" {
			continue
		}
		if scope.GetSchemaUrl() != semconv.SchemaURL {
			t.Errorf("the schema is %q", scope.GetSchemaUrl())
		}
		for _, span := range scope.GetSpans() {
			operation, _, _ := strings.Cut(span.GetName(), " ")
			names[operation]++
			kinds[span.GetKind()]++
			traces[string(span.GetSpanId())] = string(span.GetTraceId())
		}
	}
	// Four quotes; three orders placed, shipped as commands; two parcels; one more attempt and one dead letter.
	for operation, want := range map[string]int{"request": 4, "reply": 4, "receive": 4, "publish": 3 + 3 + 2 + 2, "process": 4 + 3 + 3 + 2 + 1} {
		if names[operation] != want {
			t.Errorf("%d %s spans arrived, want %d", names[operation], operation, want)
		}
	}
	if kinds[tracepb.Span_SPAN_KIND_CONSUMER] != 13 {
		t.Errorf("%d consumers arrived, want 13", kinds[tracepb.Span_SPAN_KIND_CONSUMER])
	}
	distinct := map[string]bool{}
	for _, id := range traces {
		distinct[id] = true
	}
	if len(distinct) != 4 {
		t.Errorf("%d traces arrived, want one for each of 4 orders", len(distinct))
	}
}
