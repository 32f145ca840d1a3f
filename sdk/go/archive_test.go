package cygni

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestArchiveHasTheBytesOfTheVector(t *testing.T) {
	text, err := os.ReadFile("../archive-vector.json")
	if err != nil {
		t.Skip("the vector is in the repository, not in the module")
	}
	var vector struct {
		Files []struct {
			Path, Text, Link string
			Executable       bool
		}
		Names     []string
		SizeBytes int
		SHA256    string
	}
	if err := json.Unmarshal(text, &vector); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, file := range vector.Files {
		path := filepath.Join(folder, file.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if file.Executable {
			mode = 0o700
		}
		if file.Link != "" {
			err = os.Symlink(file.Link, path)
		} else {
			err = os.WriteFile(path, []byte(file.Text), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	names, err := listFiles(folder)
	if err != nil || !slices.Equal(names, vector.Names) {
		t.Fatalf("packed %q (%v), not %q", names, err, vector.Names)
	}
	var packed bytes.Buffer
	if err := packDirectory(folder, &packed); err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if len(content) != vector.SizeBytes || hex.EncodeToString(sum[:]) != vector.SHA256 {
		t.Errorf("%d bytes with SHA-256 %x, not %d with %s", len(content), sum, vector.SizeBytes, vector.SHA256)
	}
}
