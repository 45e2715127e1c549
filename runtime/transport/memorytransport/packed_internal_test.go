package memorytransport

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
)

func TestWhatWasPackedComesOutAsItWas(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		id   string
		md   message.Metadata
	}{
		{"nothing", "", message.Metadata{}},
		{"an id alone", "7", message.Metadata{}},
		{"a few entries", "01", message.Metadata{"ce-id": "01", "ce-type": "acme.v1.Order", "empty": ""}},
		{"texts whose lengths take several bytes", strings.Repeat("i", 127), message.Metadata{
			strings.Repeat("n", 128): strings.Repeat("v", 16_384), "x": strings.Repeat("w", 3_000_000),
		}},
		{"bytes that are no text", "\x00\xff", message.Metadata{"\x80": "\x00\x80\xff"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, md := pack(tt.id, tt.md).unpack()
			if id != tt.id {
				t.Errorf("id %q, want %q", id, tt.id)
			}
			if diff := cmp.Diff(tt.md, md); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsUnpackedBelongsToTheReceiver(t *testing.T) {
	t.Parallel()
	p := pack("01", message.Metadata{"name": "sent"})
	_, first := p.unpack()
	first["name"] = "changed"
	if _, second := p.unpack(); second["name"] != "sent" {
		t.Errorf("the second receiver got %q", second["name"])
	}
}
