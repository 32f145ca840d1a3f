package cygni

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// target is where calls go and the key they carry; an empty key sends no Authorization header.
type target struct{ baseURL, apiKey string }

// LoginFile is the path of the file that `cygni login` writes: $XDG_CONFIG_HOME/cygni/login.json, by default below
// ~/.config.
func LoginFile() (string, error) {
	folder := os.Getenv(configHomeVariable)
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &ConfigurationError{fmt.Sprintf("There is no home directory to find a login in: %v.", err)}
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, filepath.FromSlash(loginFile)), nil
}

// resolveTarget settles URL and key. Key: option, CYGNI_API_KEY, login file. URL: option, CYGNI_API_URL, the login
// file's (only with its key), the hosted API. A key from the login file goes to that file's URL and nowhere else.
func resolveTarget(apiKey *string, baseURL string) (target, error) {
	if baseURL == "" {
		baseURL = os.Getenv(apiURLVariable)
	}
	if baseURL != "" {
		normal, err := normalizeBaseURL(baseURL)
		if err != nil {
			return target{}, err
		}
		baseURL = normal
	}
	if apiKey == nil {
		if key := os.Getenv(apiKeyVariable); key != "" {
			apiKey = &key
		}
	}
	if apiKey != nil {
		if baseURL == "" {
			baseURL = defaultBaseURL
		}
		return sound(target{baseURL, *apiKey})
	}
	login, err := readLogin()
	if err != nil {
		return target{}, err
	}
	if login == nil {
		return target{}, &ConfigurationError{
			"There is no API key: use cygni.WithAPIKey, set " + apiKeyVariable + ", or run `cygni login`.",
		}
	}
	if baseURL != "" && baseURL != login.baseURL {
		return target{}, &ConfigurationError{fmt.Sprintf(
			"The key kept by `cygni login` is for %s and is not sent to %s: set %s too.",
			login.baseURL, baseURL, apiKeyVariable,
		)}
	}
	return sound(*login)
}

// sound refuses a key that no header can carry, without showing it.
func sound(to target) (target, error) {
	for _, char := range to.apiKey {
		if char < '!' || char > '~' {
			return target{}, &ConfigurationError{
				"The API key has a character that no key has: a line break, a space, or one that is not ASCII.",
			}
		}
	}
	return to, nil
}

// readLogin returns nil where nobody has logged in.
func readLogin() (*target, error) {
	path, err := LoginFile()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var kept map[string]any
	if err == nil {
		err = json.Unmarshal(content, &kept)
	}
	address, _ := kept[loginURLField].(string)
	key, _ := kept[loginKeyField].(string)
	if err == nil && (address == "" || key == "") {
		err = fmt.Errorf("%s or %s is missing", loginURLField, loginKeyField)
	}
	if err != nil {
		return nil, &ConfigurationError{fmt.Sprintf("%s cannot be used (%v). Run `cygni login` to write it anew.", path, err)}
	}
	baseURL, err := normalizeBaseURL(address)
	if err != nil {
		return nil, err
	}
	return &target{baseURL, key}, nil
}

// normalizeBaseURL drops a trailing slash and adds /v1 where the URL names no path.
func normalizeBaseURL(text string) (string, error) {
	parts, err := url.Parse(strings.TrimSpace(text))
	if err != nil || (parts.Scheme != "http" && parts.Scheme != "https") || parts.Hostname() == "" ||
		parts.User != nil || parts.RawQuery != "" || parts.Fragment != "" {
		return "", &ConfigurationError{fmt.Sprintf("%q is not the URL of an API; it looks like %s.", text, defaultBaseURL)}
	}
	path := strings.TrimRight(parts.EscapedPath(), "/")
	if path == "" {
		path = "/v1"
	}
	return parts.Scheme + "://" + parts.Host + path, nil
}
