package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// file is a file in an archive.
type file struct {
	name    string
	mode    int64
	content []byte
}

// writeArchive writes a .zip, a .tar.gz, a .tgz or a .tar, in which every file has one time and no owner.
func writeArchive(path string, files []file, modified time.Time) error {
	var buffer bytes.Buffer
	var err error
	switch {
	case strings.HasSuffix(path, ".zip"):
		err = writeZip(&buffer, files, modified)
	case strings.HasSuffix(path, ".tar"):
		err = writeTar(&buffer, files, modified)
	default:
		compressed, _ := gzip.NewWriterLevel(&buffer, gzip.BestCompression) // a valid level
		err = errors.Join(writeTar(compressed, files, modified), compressed.Close())
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, buffer.Bytes(), 0o644)
}

func writeTar(w io.Writer, files []file, modified time.Time) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: modified, Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeZip(w io.Writer, files []file, modified time.Time) error {
	archive := zip.NewWriter(w)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: modified}
		header.SetMode(os.FileMode(f.mode))
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// readTarGz returns the files of an archive.
func readTarGz(path string) (files []file, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	compressed, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: header.Name, mode: header.Mode, content: content})
	}
}
