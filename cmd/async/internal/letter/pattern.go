package letter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Pattern picks dead letters. The zero value picks all.
type Pattern struct {
	// IDs are message ids, one of which must be the letter's. Empty: any.
	IDs []string
	// Terms must all hold.
	Terms []Term
	// TopicFunc and Groups pick by the place where a letter failed, for queues that groups share. Nil: any.
	TopicFunc func(topic string) bool
	Groups    []string
	// PickFunc has the last word. Nil: nothing to add.
	PickFunc func(l *Letter) bool
}

// Term compares one value of a letter with a glob.
type Term struct {
	name string
	glob *regexp.Regexp
}

// ParseTerm reads "name=glob". The name is id, type, key, reason, error, or that of any metadata; in the glob, "*" stands
// for any text and "?" for one character.
func ParseTerm(text string) (Term, error) {
	name, glob, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return Term{}, fmt.Errorf(`--match %q is no pattern; write <name>=<glob>, for example reason=max-attempts or tenant=acme-*`, text)
	}
	expression := regexp.QuoteMeta(glob)
	expression = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expression)
	return Term{name: name, glob: regexp.MustCompile(`(?s)^` + expression + `$`)}, nil
}

func (t Term) holds(l *Letter) bool {
	var value string
	switch t.name {
	case "id":
		value = l.ID
	case "type":
		value = l.Type
	case "key":
		value = l.Key
	case "reason":
		value = l.Reason
	case "error":
		value = l.Error
	default:
		if _, there := l.Message.Metadata[t.name]; !there {
			return false
		}
		value = l.Message.Metadata[t.name]
	}
	return t.glob.MatchString(value)
}

// Picks reports whether l is one of those that are asked for.
func (p Pattern) Picks(l *Letter) bool {
	if len(p.IDs) > 0 && !slices.Contains(p.IDs, l.ID) {
		return false
	}
	if p.TopicFunc != nil && !p.TopicFunc(l.Topic) || len(p.Groups) > 0 && !slices.Contains(p.Groups, l.Group) {
		return false
	}
	if slices.ContainsFunc(p.Terms, func(t Term) bool { return !t.holds(l) }) {
		return false
	}
	return p.PickFunc == nil || p.PickFunc(l)
}
