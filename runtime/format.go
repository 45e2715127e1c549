package async

import (
	"encoding/base64"
	"strconv"
)

// The text of a field that is annotated as key, message id or header: a string as it is, an integer (and the number
// of an enum) in decimal, bytes in standard base64, a bool as true or false. Generated code calls these functions.

// FormatString returns s.
func FormatString[T ~string](s T) string { return string(s) }

// FormatBytes returns the standard base64 of b.
func FormatBytes(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// FormatInt returns i in decimal. Enums are formatted by their number.
func FormatInt[T ~int32 | ~int64](i T) string { return strconv.FormatInt(int64(i), 10) }

// FormatUint returns u in decimal.
func FormatUint[T ~uint32 | ~uint64](u T) string { return strconv.FormatUint(uint64(u), 10) }

// FormatBool returns true or false.
func FormatBool(b bool) string { return strconv.FormatBool(b) }

// FormatFloat returns f in the shortest decimal form that reads back as f.
func FormatFloat[T ~float32 | ~float64](f T) string {
	return strconv.FormatFloat(float64(f), 'g', -1, 64)
}
