package cygni

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	tarBlock     = 512
	tarNameSize  = 100
	tarLargest   = 1<<33 - 1
	tarExtension = 'x'
)

// tarHeader is one member; a link has no content.
type tarHeader struct {
	name, link string
	mode       int64
	size       int64
	kind       byte
}

// tarWriter writes the pax interchange format of POSIX.1-2001. The standard library's writer chooses a form by what it
// has to say, and other languages' libraries choose other forms; the same files shall give the same bytes everywhere.
type tarWriter struct{ to io.Writer }

// WriteHeader begins a member. What a plain header cannot say stands in an extended one before it.
func (w *tarWriter) WriteHeader(header tarHeader) error {
	var records strings.Builder
	for _, each := range []struct {
		key, value string
		fits       bool
	}{
		{"path", header.name, len(header.name) <= tarNameSize && isASCII(header.name)},
		{"linkpath", header.link, len(header.link) <= tarNameSize && isASCII(header.link)},
		{"size", strconv.FormatInt(header.size, 10), header.size <= tarLargest},
	} {
		if !each.fits {
			records.WriteString(tarRecordText(each.key, each.value))
		}
	}
	if extended := records.String(); extended != "" {
		size := int64(len(extended))
		before := tarHeader{name: "././@PaxHeader", mode: fileMode, size: size, kind: tarExtension}
		if err := w.block(before); err != nil {
			return err
		}
		if _, err := io.WriteString(w, extended); err != nil {
			return err
		}
		if err := w.pad(size); err != nil {
			return err
		}
	}
	return w.block(header)
}

func (w *tarWriter) Write(content []byte) (int, error) { return w.to.Write(content) }

// Close writes the end of the archive.
func (w *tarWriter) Close() error {
	_, err := w.Write(make([]byte, 2*tarBlock))
	return err
}

// pad fills the last block of a content of this size.
func (w *tarWriter) pad(size int64) error {
	_, err := w.Write(make([]byte, (tarBlock-size%tarBlock)%tarBlock))
	return err
}

func (w *tarWriter) block(header tarHeader) error {
	block := make([]byte, tarBlock)
	copy(block[0:tarNameSize], asciiOnly(header.name))
	octal(block[100:108], header.mode)
	octal(block[108:116], 0)
	octal(block[116:124], 0)
	if header.size <= tarLargest {
		octal(block[124:136], header.size)
	} else {
		octal(block[124:136], 0)
	}
	octal(block[136:148], archiveModifiedAt)
	copy(block[148:156], "        ")
	block[156] = header.kind
	copy(block[157:257], asciiOnly(header.link))
	copy(block[257:265], "ustar\x0000")
	octal(block[329:337], 0)
	octal(block[337:345], 0)
	var sum int64
	for _, each := range block {
		sum += int64(each)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	_, err := w.Write(block)
	return err
}

func octal(field []byte, value int64) {
	copy(field, fmt.Sprintf("%0*o", len(field)-1, value))
}

// tarRecordText is a record of an extended header, which begins with its own length in bytes.
func tarRecordText(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	length := len(rest)
	for length != len(rest)+len(strconv.Itoa(length)) {
		length = len(rest) + len(strconv.Itoa(length))
	}
	return strconv.Itoa(length) + rest
}

func isASCII(text string) bool { return asciiOnly(text) == text }

func asciiOnly(text string) string {
	plain := []byte(text)
	for i, each := range plain {
		if each > 127 {
			plain[i] = '?'
		}
	}
	return string(plain)
}
