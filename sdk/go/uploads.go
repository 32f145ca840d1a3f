package cygni

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// UploadParams are for [UploadsService.FromDirectory].
type UploadParams struct {
	// OnProgress is told how many bytes the server has, and of how many.
	OnProgress func(received, size int64)
}

// FromDirectory packs a directory, without what .gitignore and .cygniignore leave out, and uploads it, going on after
// a broken connection. The same files give the same bytes in every one of the SDKs. It returns an [*ArchiveError] for
// what cannot be packed.
func (s *UploadsService) FromDirectory(
	ctx context.Context, path string, params UploadParams, options ...CallOption,
) (*Upload, error) {
	file, err := os.CreateTemp("", "cygni-upload-*")
	if err != nil {
		return nil, fmt.Errorf("cygni: there is no room for the archive: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := packDirectory(path, file); err != nil {
		return nil, err
	}
	return s.send(ctx, file, params, options)
}

func (s *UploadsService) send(
	ctx context.Context, file io.ReadSeeker, params UploadParams, options []CallOption,
) (*Upload, error) {
	digest := sha256.New()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("cygni: the archive cannot be read: %w", err)
	}
	size, err := io.Copy(digest, file)
	if err != nil {
		return nil, fmt.Errorf("cygni: the archive cannot be read: %w", err)
	}
	upload, err := s.Create(ctx, UploadInput{
		SizeBytes:   size,
		SHA256:      hex.EncodeToString(digest.Sum(nil)),
		ContentType: archiveContentType,
	}, options...)
	if err != nil {
		return nil, err
	}
	for failures := 0; ; {
		if params.OnProgress != nil {
			params.OnProgress(upload.ReceivedBytes, size)
		}
		if upload.Status == UploadStatusComplete {
			return upload, nil
		}
		sent, err := s.sendPart(ctx, file, upload, size, options)
		if err == nil {
			failures = 0
			upload = sent
			continue
		}
		failures++
		if failures > defaultMaxRetries || ctx.Err() != nil || !uploadMayGoOn(err) {
			return nil, err
		}
		if !sleep(ctx, backoff(failures-1)) {
			return nil, canceled(ctx)
		}
		// Only the server knows how much of the part arrived.
		if upload, err = s.Get(ctx, upload.ID, options...); err != nil {
			return nil, err
		}
	}
}

func (s *UploadsService) sendPart(
	ctx context.Context, file io.ReadSeeker, upload *Upload, size int64, options []CallOption,
) (*Upload, error) {
	start := upload.ReceivedBytes
	part := make([]byte, min(partBytes, size-start))
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("cygni: the archive cannot be read: %w", err)
	}
	if _, err := io.ReadFull(file, part); err != nil {
		return nil, fmt.Errorf("cygni: the archive cannot be read: %w", err)
	}
	end := start + int64(len(part)) - 1
	// The same bytes again would leave a gap or overlap if some had arrived: what follows a failure is decided above.
	options = append(options[:len(options):len(options)],
		WithHeader("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end, size)), WithMaxRetries(0))
	return s.PutContent(ctx, upload.ID, part, archiveContentType, options...)
}

func uploadMayGoOn(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		var broken *ConnectionError
		return errors.As(err, &broken)
	}
	if refused.Status == http.StatusConflict {
		_, known := refused.Details["receivedBytes"]
		return refused.Code == "invalid_state" && known
	}
	return refused.Status >= 500 || retriedStatuses[refused.Status]
}
