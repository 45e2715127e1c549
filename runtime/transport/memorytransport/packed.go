package memorytransport

import (
	"encoding/binary"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
)

// packed is the id and the metadata of a message in one string: id, number of entries, name and value of each, every text
// after its length. A message that waits is kept like this. Were there a map for each of a hundred thousand retries, the
// garbage collector would look at a dozen pointers of each again and again, and good messages would wait for it.
type packed string

func pack(id string, md message.Metadata) packed {
	size := binary.MaxVarintLen64 + len(id)
	for name, value := range md {
		size += len(name) + len(value)
	}
	const most = 2 // bytes of a length, but for the longest texts
	var b strings.Builder
	b.Grow(size + most*(1+2*len(md)))
	number := func(n int) {
		var space [binary.MaxVarintLen64]byte
		b.Write(space[:binary.PutUvarint(space[:], uint64(n))])
	}
	text := func(s string) {
		number(len(s))
		b.WriteString(s)
	}
	text(id)
	number(len(md))
	for name, value := range md {
		text(name)
		text(value)
	}
	return packed(b.String())
}

// unpack makes the metadata anew. The caller may keep and change it.
func (p packed) unpack() (id string, md message.Metadata) {
	id = p.text()
	md = make(message.Metadata, p.number())
	for len(p) > 0 {
		name := p.text()
		md[name] = p.text()
	}
	return id, md
}

// text takes the next text off p.
func (p *packed) text() string {
	n := p.number()
	s := (*p)[:n]
	*p = (*p)[n:]
	return string(s)
}

// number takes the next number off p.
func (p *packed) number() int {
	n, shift := 0, 0
	for i := range len(*p) {
		c := (*p)[i]
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			*p = (*p)[i+1:]
			return n
		}
		shift += 7
	}
	panic("memorytransport: a packed message ends in the middle")
}
