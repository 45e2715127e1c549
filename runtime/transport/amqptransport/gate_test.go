package amqptransport_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/asyncpb/async/runtime/transport"
)

// authority makes certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	file        string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) sign(t *testing.T, name string, usage x509.ExtKeyUsage, until time.Time, ips ...net.IP) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: ips,
	}, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// server makes the certificate of the broker at ip.
func (a *authority) server(t *testing.T, ip string) tls.Certificate {
	t.Helper()
	return a.serverUntil(t, ip, time.Now().Add(time.Hour))
}

// serverUntil makes one that ends at a time.
func (a *authority) serverUntil(t *testing.T, ip string, until time.Time) tls.Certificate {
	t.Helper()
	der, key := a.sign(t, "broker", x509.ExtKeyUsageServerAuth, until, net.ParseIP(ip))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// client makes the files of an application.
func (a *authority) client(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	a.renew(t, name, certFile, keyFile)
	return certFile, keyFile
}

// renew writes a new certificate to the files of an application.
func (a *authority) renew(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	der, key := a.sign(t, name, x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	writePEM(t, certFile, "CERTIFICATE", der)
	bytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", bytes)
}

// gate ends TLS in front of the broker. With clients it asks for a certificate, and does what RabbitMQ's plugin
// for the mechanism EXTERNAL does: it offers no other, and lets in whom the certificate names.
type gate struct {
	address  string
	broker   string
	logins   chan string
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	tls   *tls.Config
	conns map[net.Conn]bool
}

func newGate(t *testing.T, server tls.Certificate, clients *x509.CertPool) *gate {
	t.Helper()
	c, err := transport.ParseURL(brokerURL())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: listener.Addr().String(), broker: c.URL.Host, listener: listener, logins: make(chan string, 64), conns: make(map[net.Conn]bool)}
	g.change(server, clients, tls.VersionTLS13)
	g.work.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			g.work.Go(func() { g.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.work.Wait()
	})
	return g
}

// change gives the gate another certificate, other clients and another version for the connections to come, and cuts those
// that there are.
func (g *gate) change(server tls.Certificate, clients *x509.CertPool, version uint16) {
	config := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version, Certificates: []tls.Certificate{server}}
	if clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tls = config
	for conn := range g.conns {
		_ = conn.Close()
	}
}

// enter is the beginning of a connection, which leave ends.
func (g *gate) enter(wire net.Conn) (client *tls.Conn, external bool, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[wire] = true
	client = tls.Server(wire, g.tls)
	return client, g.tls.ClientCAs != nil, func() {
		_ = client.Close()
		g.mu.Lock()
		delete(g.conns, wire)
		g.mu.Unlock()
	}
}

func (g *gate) serve(wire net.Conn) {
	client, external, leave := g.enter(wire)
	defer leave()
	if client.Handshake() != nil {
		return
	}
	server, err := net.Dial("tcp", g.broker)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	if _, err := io.CopyN(server, fromClient, int64(len("AMQP\x00\x00\x09\x01"))); err != nil {
		return
	}
	start := readMethod(fromServer)
	if external {
		start.replaceMechanisms("EXTERNAL")
	}
	if _, err := client.Write(start.frame()); err != nil {
		return
	}
	answer := readMethod(fromClient)
	login := answer.mechanism()
	if external {
		answer.replaceLogin("PLAIN", "\x00guest\x00guest")
		login += " " + client.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	g.logins <- login
	if _, err := server.Write(answer.frame()); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, fromServer)
		_ = client.Close()
	})
	_, _ = io.Copy(server, fromClient)
	_ = server.Close()
	back.Wait()
}

// method is the payload of a frame on channel 0.
type method struct{ payload []byte }

func readMethod(r io.Reader) *method {
	header := make([]byte, 7)
	if _, err := io.ReadFull(r, header); err != nil {
		return &method{}
	}
	payload := make([]byte, int(binary.BigEndian.Uint32(header[3:]))+1)
	_, _ = io.ReadFull(r, payload)
	return &method{payload[:len(payload)-1]}
}

func (m *method) frame() []byte {
	b := binary.BigEndian.AppendUint32([]byte{1, 0, 0}, uint32(len(m.payload)))
	return append(append(b, m.payload...), 0xCE)
}

// afterTable is where the properties end that begin at the given place.
func (m *method) afterTable(at int) int {
	if len(m.payload) < at+4 {
		return len(m.payload)
	}
	return at + 4 + int(binary.BigEndian.Uint32(m.payload[at:]))
}

// replaceMechanisms changes a connection.start: class, method, version, properties, mechanisms, locales.
func (m *method) replaceMechanisms(mechanisms string) {
	at := m.afterTable(4 + 2)
	rest := m.payload[m.afterTable(at):]
	b := append([]byte(nil), m.payload[:at]...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(mechanisms))), mechanisms...)
	m.payload = append(b, rest...)
}

// mechanism reads a connection.start-ok: class, method, properties, mechanism, response, locale.
func (m *method) mechanism() string {
	at := m.afterTable(4)
	if at >= len(m.payload) {
		return ""
	}
	return string(m.payload[at+1 : at+1+int(m.payload[at])])
}

func (m *method) replaceLogin(mechanism, response string) {
	at := m.afterTable(4)
	rest := m.payload[m.afterTable(at+1+int(m.payload[at])):]
	b := append([]byte(nil), m.payload[:at]...)
	b = append(append(b, byte(len(mechanism))), mechanism...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(response))), response...)
	m.payload = append(b, rest...)
}
