package config

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/asyncpb/async/runtime/transport"
)

const credentialsHint = "put them in a file, and name the file in credentials_file"

// transports reads the transports that have a name. One that is not understood keeps its name, so that a binding to it
// is no second problem.
func (r *reader) transports(node *yaml.Node, place []string, c *Config) {
	c.Transports = make(map[string]*Transport)
	r.entries(node, place, func(key, node *yaml.Node, place []string) {
		t := &Transport{Name: key.Value, Pos: r.position(key)}
		if t.Name == HTTP || !validName(t.Name) {
			r.add(key, "this cannot be the name of a transport", `write lower-case letters, digits, "_" and "-", and not http, which is the Connect bridge's`)
			return
		}
		c.Transports[t.Name] = t
		r.transport(node, place, t)
	})
}

func (r *reader) transport(node *yaml.Node, place []string, t *Transport) {
	if node.Kind == yaml.ScalarNode {
		r.add(node, label(place)+" is "+kindOf(node), `write {url: "<scheme>://<address>"}`)
		return
	}
	var url string
	var options map[string]string
	r.object(node, place, []field{
		r.address("url", func(v string) { url = v }),
		value(r, "credentials_file", word, filled, func(v string) { t.CredentialsFile = v }),
		{"tls", func(node *yaml.Node, place []string) { r.tls(node, place, t) }},
		value(r, "insecure", literal, boolean, func(v bool) { t.Insecure = v }),
		value(r, "declare", word,
			oneOf(string(transport.DeclareCreate), string(transport.DeclareVerify), string(transport.DeclareNone)),
			func(v string) { t.Declare = transport.Declare(v) }),
		{"options", func(node *yaml.Node, place []string) { options = r.options(node, place) }},
	}, func(key string) (what, instead string) {
		switch key {
		case "user", "username", "password":
			return "credentials do not belong here", credentialsHint
		}
		return "", ""
	})
	if node.Kind != yaml.MappingNode {
		return
	}
	pos, given := r.positions[pathKey(append(slices.Clone(place), "url"))]
	if !given {
		r.add(node, label(place)+" has no url", `write url: "<scheme>://<address>"`)
		return
	}
	if url == "" {
		return
	}
	parsed, err := transport.ParseURL(url)
	if err != nil {
		r.url(pos, err)
		return
	}
	t.URL, t.Username, t.Password, t.Options = parsed.URL, parsed.Username, parsed.Password, parsed.Options
	if len(options) > 0 {
		if t.Options == nil {
			t.Options = make(map[string]string, len(options))
		}
		maps.Copy(t.Options, options)
	}
	if !t.Password.Empty() && t.CredentialsFile != "" {
		r.Add(pos, "the password stands here and credentials_file is given too", "remove the password from the URL")
	}
	if t.TLS != nil && t.URL.Scheme == "amqp" {
		r.Add(pos, "amqp:// is plain text and would ignore tls", "write amqps://")
	}
}

// address is the field of a transport's URL. A password in it has to come with the environment.
func (r *reader) address(key string, keep func(string)) field {
	return field{key, func(node *yaml.Node, place []string) {
		if literalPassword(node.Value) {
			r.add(node, label(place)+" holds a password", "write ${NAME} in its place and set the environment variable NAME, or put user and password in a file and name it in credentials_file")
			return
		}
		value(r, key, word, filled, keep).read(node, place)
	}}
}

// literalPassword reports whether a URL holds any part of a password that no variable stands for. The text behind ":-" in
// a variable stands in the file too.
func literalPassword(raw string) bool {
	text, _, _ := interpolate(raw, func(string) (string, bool) { return "", true })
	if _, rest, found := strings.Cut(text, "://"); found {
		text = rest
	}
	if i := strings.IndexAny(text, "/?"); i >= 0 {
		text = text[:i]
	}
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return false
	}
	_, password, _ := strings.Cut(text[:i], ":")
	return password != ""
}

// url reports an error of transport.ParseURL, which quotes nothing of the URL.
func (r *reader) url(pos Position, err error) {
	what, instead, _ := strings.Cut(err.Error(), "; ")
	if instead == "" {
		instead = `write "<scheme>://<address>", with user and password escaped as %XX`
	}
	r.Add(pos, what, instead)
}

func (r *reader) tls(node *yaml.Node, place []string, t *Transport) {
	t.TLS = new(transport.TLS)
	r.object(node, place, []field{
		value(r, "ca_file", word, filled, func(v string) { t.TLS.CAFile = v }),
		value(r, "cert_file", word, filled, func(v string) { t.TLS.CertFile = v }),
		value(r, "key_file", word, filled, func(v string) { t.TLS.KeyFile = v }),
		value(r, "server_name", word, filled, func(v string) { t.TLS.ServerName = v }),
	}, func(key string) (what, instead string) {
		switch key {
		case "skip_verify", "insecure_skip_verify", "verify":
			return "the server's certificate is always checked", "name who signed it in ca_file, and what it is called in server_name"
		}
		return "", ""
	})
	_, cert := r.positions[pathKey(append(slices.Clone(place), "cert_file"))]
	_, key := r.positions[pathKey(append(slices.Clone(place), "key_file"))]
	if cert != key {
		r.add(node, "cert_file and key_file are a pair, and one is missing", "write both, or none for a server certificate alone")
	}
}

// options reads the driver's own options: any keys, single values, kept as text.
func (r *reader) options(node *yaml.Node, place []string) map[string]string {
	options := make(map[string]string)
	r.entries(node, place, func(key, node *yaml.Node, place []string) {
		if text, ok := r.text(node, place, either); ok {
			options[key.Value] = text
		}
	})
	return options
}

// carrier settles which transport carries what no binding gives to another one.
func (r *reader) carrier(text string, c *Config) {
	pos, given := r.positions["transport"]
	switch {
	case given && text == "":
		// What is wrong with it was reported where it was read.
	case text == HTTP:
		r.Add(pos, "http is the Connect bridge's and carries single bindings only", "write transport: http in a binding")
	case given:
		t, err := c.Lookup(text)
		if err != nil {
			r.url(pos, err)
			return
		}
		if t.Name == "" {
			t.Pos = pos
		}
		c.Transport = t
	case len(c.Transports) == 1:
		for _, only := range c.Transports {
			c.Transport = only
		}
	case len(c.Transports) > 1:
		names := slices.Sorted(maps.Keys(c.Transports))
		r.Add(c.Position("transports"), "transport is missing, and there are several: "+strings.Join(names, ", "),
			"write transport: with the name of the one that carries what no binding names")
	}
}

func validName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
