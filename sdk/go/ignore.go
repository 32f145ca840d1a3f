package cygni

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// ignoreRules are the patterns of one folder, .cygniignore after .gitignore: the last match counts, so it can take
// back what git ignores.
type ignoreRules struct {
	base     string
	patterns []ignorePattern
}

// ignorePattern is one line, as gitignore(5) describes it.
type ignorePattern struct {
	matches    *regexp.Regexp
	isNegated  bool
	folderOnly bool
}

func readIgnoreRules(folder, base string) (ignoreRules, error) {
	rules := ignoreRules{base: base}
	for _, name := range ignoreFiles {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
			continue
		}
		if err != nil {
			return rules, err
		}
		for _, line := range strings.FieldsFunc(string(content), func(c rune) bool { return c == '\n' || c == '\r' }) {
			if pattern, ok := parseIgnoreLine(line); ok {
				rules.patterns = append(rules.patterns, pattern)
			}
		}
	}
	return rules, nil
}

func isIgnored(name string, isFolder bool, rules []ignoreRules) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		below := strings.TrimPrefix(name, rules[i].base)
		for j := len(rules[i].patterns) - 1; j >= 0; j-- {
			pattern := rules[i].patterns[j]
			if (isFolder || !pattern.folderOnly) && pattern.matches.MatchString(below) {
				return !pattern.isNegated
			}
		}
	}
	return false
}

func parseIgnoreLine(line string) (ignorePattern, bool) {
	line = trimUnescapedSpaces(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return ignorePattern{}, false
	}
	var pattern ignorePattern
	if rest, ok := strings.CutPrefix(line, "!"); ok {
		line, pattern.isNegated = rest, true
	}
	if rest, ok := strings.CutSuffix(line, "/"); ok {
		line, pattern.folderOnly = rest, true
	}
	// A slash before the end ties the pattern to its folder; else it holds at any depth.
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return ignorePattern{}, false
	}
	if !anchored {
		line = "**/" + line
	}
	expression, err := regexp.Compile(`(?s)\A` + ignoreExpression(line) + `\z`)
	if err != nil {
		return ignorePattern{}, false // such as an unclosed bracket, which matches nothing
	}
	pattern.matches = expression
	return pattern, true
}

func trimUnescapedSpaces(line string) string {
	trimmed := strings.TrimRight(line, " ")
	if strings.HasSuffix(trimmed, `\`) && len(trimmed) < len(line) {
		return trimmed + " "
	}
	return trimmed
}

// ignoreExpression is a glob as a regular expression: ** means folders only where it stands between slashes.
func ignoreExpression(glob string) string {
	var out strings.Builder
	for i := 0; i < len(glob); {
		rest := glob[i:]
		atStart := i == 0 || glob[i-1] == '/'
		switch {
		case atStart && strings.HasPrefix(rest, "**/"):
			out.WriteString(`(?:.*/)?`)
			i += len("**/")
		case atStart && rest == "**":
			out.WriteString(`.+`)
			i += len("**")
		case rest[0] == '*':
			out.WriteString(`[^/]*`)
			i++
		case rest[0] == '?':
			out.WriteString(`[^/]`)
			i++
		case rest[0] == '[':
			class, length := ignoreClass(rest)
			out.WriteString(class)
			i += length
		case rest[0] == '\\' && len(rest) > 1:
			out.WriteString(regexp.QuoteMeta(rest[1:2]))
			i += 2
		default:
			out.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	return out.String()
}

// ignoreClass is a bracket expression and its length; one that is not closed is a lone bracket, which matches nothing.
func ignoreClass(rest string) (string, int) {
	end := 1
	for end < len(rest) && (rest[end] == '!' || rest[end] == '^') {
		end++
	}
	if end < len(rest) && rest[end] == ']' {
		end++
	}
	for end < len(rest) && rest[end] != ']' {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(rest) {
		return `[`, 1
	}
	inner := rest[1:end]
	negation := ""
	if inner[0] == '!' || inner[0] == '^' {
		inner, negation = inner[1:], "^/"
	}
	inner = strings.ReplaceAll(inner, "[", `\[`)
	if rest, ok := strings.CutPrefix(inner, "]"); ok {
		inner = `\]` + rest
	}
	return "[" + negation + inner + "]", end + 1
}
