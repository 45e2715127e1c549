package load

import (
	"google.golang.org/protobuf/proto"

	benchv1 "github.com/asyncpb/async/benchmarks/gen/bench/v1"
)

// sampleFrame is what a Sample takes beside its body: two numbers of eight bytes with their tags.
const sampleFrame = 18

// Body returns the body of samples that take size bytes on the wire. It is shared by all of them.
func Body(size int) []byte {
	for n := size - sampleFrame; n > 0; n-- {
		body := make([]byte, n)
		if proto.Size(NewSample(1, 1, body)) <= size {
			return body
		}
	}
	return nil
}

// NewSample returns a message with a body of [Body]. A number of zero would not travel, and so they begin at one on the wire.
func NewSample(number int, intended int64, body []byte) *benchv1.Sample {
	return &benchv1.Sample{Number: uint64(number) + 1, IntendedUnixNano: uint64(intended), Body: body}
}

// ReadSample returns number and intended time of a sample.
func ReadSample(m *benchv1.Sample) (number int, intended int64) {
	return int(m.GetNumber()) - 1, int64(m.GetIntendedUnixNano())
}

// ParseSample reads number and intended time of a sample as it travels.
func ParseSample(payload []byte) (number int, intended int64, err error) {
	m := new(benchv1.Sample)
	if err := proto.Unmarshal(payload, m); err != nil {
		return 0, 0, err
	}
	number, intended = ReadSample(m)
	return number, intended, nil
}

// NewOrder returns an order of about 300 bytes, for [NumberOrder].
func NewOrder() *benchv1.Order {
	return &benchv1.Order{
		OrderId: "0194f1a2-7c4b-7d11-9a53-0f6a5e2b9c10", Customer: "customer-48213",
		Address: &benchv1.Address{Street: "12 Long Acre, second floor", City: "Springfield", PostalCode: "90210-1234", Country: "US"},
		Lines: []*benchv1.Line{
			{Article: "ART-000481", Title: "Fountain pen, medium nib", Quantity: 2, Cents: 4290},
			{Article: "ART-001972", Title: "Ink, royal blue, 50 ml", Quantity: 1, Cents: 1190},
			{Article: "ART-000007", Title: "Notebook A5, dotted paper", Quantity: 3, Cents: 890},
		},
		TotalCents: 12440, Currency: "EUR", Note: "Please leave it with the neighbours.",
	}
}

// NumberOrder gives an order its number: one order serves a caller again and again, because building it is no work of the
// sides.
func NumberOrder(o *benchv1.Order, number int) *benchv1.Order {
	o.Number = uint64(number) + 1
	return o
}

// ReadOrder returns the number of an order, and the time that stands where nobody asks for one.
func ReadOrder(o *benchv1.Order) (number int, intended int64) { return int(o.GetNumber()) - 1, untimed }
