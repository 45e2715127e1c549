package amqptransport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/asyncpb/async/runtime/transport"
)

// checkOwnTLS refuses a program's own TLS configuration beside files, and what it must not allow unless the connection may be
// insecure. own is nil if there is none.
func checkOwnTLS(c transport.Config, own *tls.Config) error {
	switch {
	case own == nil:
		return nil
	case c.TLS != nil:
		return errors.New("TLS is configured twice: by files and by WithConfig; remove one")
	case c.Insecure:
		return nil
	case own.InsecureSkipVerify && own.VerifyConnection == nil && own.VerifyPeerCertificate == nil:
		return errors.New("WithConfig: InsecureSkipVerify talks to whoever answers: name the authority in RootCAs, or allow it with insecure: true")
	case own.MinVersion != 0 && own.MinVersion < tls.VersionTLS12:
		return errors.New("WithConfig: MinVersion is below TLS 1.2: leave it out, or allow it with insecure: true")
	default:
		return nil
	}
}

// tlsConfig makes the configuration of one connection: of the program's own, else of the files as they are now, so that a
// renewed certificate or authority is used by the next connection.
func tlsConfig(files *transport.TLS, own *tls.Config) (*tls.Config, error) {
	if own != nil {
		return own.Clone(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files == nil {
		return config, nil
	}
	config.ServerName = files.ServerName
	if files.CAFile != "" {
		pem, err := os.ReadFile(files.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls: ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca_file: %s holds no PEM certificate", files.CAFile)
		}
	}
	if (files.CertFile == "") != (files.KeyFile == "") {
		return nil, errors.New("tls: cert_file and key_file go together; one is missing")
	}
	if files.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls: cert_file and key_file: %w", err)
		}
		// Given whatever the server asks for: one that it does not know is refused in its own words.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	return config, nil
}

// explainedTLS adds what to do to the end of a handshake.
func explainedTLS(err error) error {
	var (
		noTLS     tls.RecordHeaderError
		unknown   x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		otherName x509.HostnameError
	)
	switch {
	case errors.As(err, &noTLS):
		return fmt.Errorf("the server does not speak TLS at this port; give the port that does, usually %s: %w", defaultTLSPort, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("nobody who is trusted vouches for the server's certificate; name its authority in ca_file: %w", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the server's certificate is out of date, or the clock of this machine is wrong: %w", err)
	case errors.As(err, &otherName):
		return fmt.Errorf("the server's certificate is that of another name; correct the host, or give the name in server_name: %w", err)
	case strings.Contains(err.Error(), "protocol version"):
		return fmt.Errorf("the server speaks no TLS 1.2 or newer, which is the least: %w", err)
	default:
		return err
	}
}
