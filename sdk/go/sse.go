package cygni

import (
	"bytes"
	"encoding/json"
	"strings"
)

// StreamEvent is one event of a stream. "gap" tells that what came before was not kept.
type StreamEvent struct {
	Event string
	ID    string
	Data  json.RawMessage
}

// StreamEnd is why a stream ended: finished, shutdown, unauthorized, tooSlow; and what ended, where it was one thing.
type StreamEnd struct {
	Reason   string  `json:"reason"`
	Status   *string `json:"status"`
	ExitCode *int    `json:"exitCode"`
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// eventParser turns the bytes of one connection into events, as the HTML standard's section "Server-sent events" says.
type eventParser struct {
	begun  bool
	buffer []byte
	name   string
	data   []string
	id     *string
}

// feed calls visit with each event that these bytes complete, and with the id that is the last one from then on.
func (p *eventParser) feed(chunk []byte, visit func(event *StreamEvent, id *string)) {
	p.buffer = append(p.buffer, chunk...)
	if !p.begun {
		if len(p.buffer) < len(byteOrderMark) && bytes.HasPrefix(byteOrderMark, p.buffer) {
			return
		}
		p.begun = true
		p.buffer = bytes.TrimPrefix(p.buffer, byteOrderMark)
	}
	for {
		end := bytes.IndexAny(p.buffer, "\r\n")
		if end < 0 {
			return
		}
		next := end + 1
		if p.buffer[end] == '\r' {
			if next == len(p.buffer) {
				return // it may be half of a CRLF, which what follows will tell
			}
			if p.buffer[next] == '\n' {
				next++
			}
		}
		line := string(p.buffer[:end])
		p.buffer = p.buffer[next:]
		if line != "" {
			p.field(line)
			continue
		}
		event, id := p.dispatch()
		visit(event, id)
	}
}

func (p *eventParser) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		p.name = value
	case "data":
		p.data = append(p.data, value)
	case "id":
		if !strings.Contains(value, "\x00") {
			p.id = &value
		}
	}
}

// dispatch returns no event where there were no data, as for a comment.
func (p *eventParser) dispatch() (*StreamEvent, *string) {
	name, data, id := p.name, p.data, p.id
	p.name, p.data, p.id = "", nil, nil
	if data == nil {
		return nil, id
	}
	event := &StreamEvent{Event: name, Data: json.RawMessage(strings.Join(data, "\n"))}
	if name == "" {
		event.Event = "message"
	}
	if id != nil {
		event.ID = *id
	}
	return event, id
}
