package transport

import (
	"errors"
	"net/url"
	"strings"
)

// URL is a transport's address without user, password and query. Its text is safe to print.
type URL struct {
	// Scheme picks the driver.
	Scheme string
	// Host is a host with an optional port, or several, separated by commas.
	Host string
	// Path is what follows the host, with its leading slash, unescaped.
	Path string
	// RawPath is the path as it was written.
	RawPath string
}

// String puts the parts together again.
func (u URL) String() string { return u.Scheme + "://" + u.Host + u.RawPath }

// ParseURL takes a transport URL apart and fills URL, Username, Password and Options of a Config. Its errors never
// hold any part of what was parsed but the scheme.
func ParseURL(raw string) (Config, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !validScheme(scheme) {
		return Config{}, errors.New(`not a transport URL; write "<scheme>://<address>", for example "memory://" or "amqp://user@host:5672/vhost"`)
	}
	fail := func(what string) (Config, error) {
		return Config{}, errors.New("the " + scheme + " URL has a malformed " + what)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.Contains(path, "@") || strings.Contains(query, "@") {
		// The start of a password that holds a slash or a question mark would be taken for the host, and shown.
		return fail("path, query or password: escape '@', '/' and '?' in them as %XX")
	}
	c := Config{URL: URL{Scheme: scheme, RawPath: path}}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
		var err, err2 error
		c.Username, err = url.PathUnescape(user)
		var plain string
		plain, err2 = url.PathUnescape(password)
		if err != nil || err2 != nil {
			return fail("user or password: escape special characters as %XX")
		}
		c.Password = NewSecret(plain)
	}
	if strings.ContainsAny(authority, " \t\r\n\"<>\\^`{}|#%") {
		return fail("host")
	}
	c.URL.Host = authority
	var err error
	if c.URL.Path, err = url.PathUnescape(path); err != nil || strings.ContainsAny(c.URL.Path, "\r\n\x00") {
		return fail("path")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return fail("query")
	}
	for name, list := range values {
		if len(list) != 1 {
			return Config{}, errors.New("the " + scheme + " URL gives one option more than once")
		}
		if c.Options == nil {
			c.Options = make(map[string]string, len(values))
		}
		c.Options[name] = list[0]
	}
	return c, nil
}

func validScheme(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}
