package cygni

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// packDirectory writes a gzipped tar of the directory, without what its ignore files leave out. Order, times, owners
// and modes are fixed, so that the same files give the same bytes on every machine.
func packDirectory(directory string, file io.Writer) error {
	names, err := listFiles(directory)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return &ArchiveError{fmt.Sprintf("%s has no files to deploy, or its ignore files leave none.", directory)}
	}
	buffered := bufio.NewWriterSize(file, 1<<16)
	zipped := gzip.NewWriter(buffered)
	archive := &tarWriter{to: zipped}
	for _, name := range names {
		if err := addFile(archive, directory, name); err != nil {
			return err
		}
	}
	for _, closing := range []func() error{archive.Close, zipped.Close, buffered.Flush} {
		if err := closing(); err != nil {
			return fmt.Errorf("cygni: the archive cannot be written: %w", err)
		}
	}
	return nil
}

func addFile(archive *tarWriter, directory, name string) error {
	file := filepath.Join(directory, filepath.FromSlash(name))
	status, err := os.Lstat(file)
	if err != nil {
		return notPacked(name, err)
	}
	header := tarHeader{name: name, mode: fileMode, kind: tar.TypeReg, size: status.Size()}
	if status.Mode()&fs.ModeSymlink != 0 {
		if header.link, err = os.Readlink(file); err != nil {
			return notPacked(name, err)
		}
		header.link = filepath.ToSlash(header.link)
		header.kind, header.mode, header.size = tar.TypeSymlink, linkMode, 0
		if err := checkLink(name, header.link); err != nil {
			return err
		}
		return archive.WriteHeader(header)
	}
	if status.Mode()&0o100 != 0 {
		header.mode = executableMode
	}
	content, err := os.Open(file)
	if err != nil {
		return notPacked(name, err)
	}
	defer content.Close()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	// A file that grows meanwhile is packed as long as it was.
	if _, err := io.CopyN(archive, content, header.size); err != nil {
		return notPacked(name, err)
	}
	return archive.pad(header.size)
}

func checkLink(name, link string) error {
	where := path.Join(path.Dir(name), link)
	if path.IsAbs(link) || where == ".." || strings.HasPrefix(where, "../") {
		return &ArchiveError{fmt.Sprintf(
			"%s is a link to %s, outside of the directory: only what is inside is deployed.", name, link,
		)}
	}
	return nil
}

func notPacked(name string, err error) error {
	return &ArchiveError{fmt.Sprintf("%s cannot be packed: %v.", name, err)}
}

// listFiles are the files and links to pack, as paths with slashes, in a fixed order.
func listFiles(directory string) ([]string, error) {
	status, err := os.Stat(directory)
	if err != nil || !status.IsDir() {
		return nil, &ArchiveError{fmt.Sprintf("%s is not a directory.", directory)}
	}
	var names []string
	err = walkFiles(directory, "", nil, &names)
	return names, err
}

// walkFiles keeps to git's rules: a deeper ignore file overrules a higher one, and nothing below an ignored folder
// comes back.
func walkFiles(directory, inside string, rules []ignoreRules, names *[]string) error {
	folder := filepath.Join(directory, filepath.FromSlash(inside))
	own, err := readIgnoreRules(folder, inside)
	if err != nil {
		return notPacked(inside, err)
	}
	if len(own.patterns) > 0 {
		rules = append(rules[:len(rules):len(rules)], own)
	}
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return notPacked(inside, err)
	}
	for _, entry := range entries {
		name := inside + entry.Name()
		if alwaysIgnored[entry.Name()] || isIgnored(name, entry.IsDir(), rules) {
			continue
		}
		if entry.IsDir() {
			if err := walkFiles(directory, name+"/", rules, names); err != nil {
				return err
			}
		} else if entry.Type().IsRegular() || entry.Type()&fs.ModeSymlink != 0 {
			*names = append(*names, name) // sockets, pipes and devices are left out, as git leaves them out
		}
	}
	return nil
}
