// SPDX-License-Identifier: MIT

// Documents as trees that keep the order of members, and their repetitions; and how they are spelled.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"unicode/utf16"
)

// A node is a value. Kind: 'o' object, 'a' array, 's' string, 'r' text that is written as it is.
type node struct {
	kind    byte
	text    string
	members []member
	items   []*node
}

// A member has a name, or text that stands between the quotes as it is.
type member struct {
	name  string
	raw   string
	value *node
}

func raw(text string) *node                  { return &node{kind: 'r', text: text} }
func str(text string) *node                  { return &node{kind: 's', text: text} }
func list(items ...*node) *node              { return &node{kind: 'a', items: items} }
func object(of ...member) *node              { return &node{kind: 'o', members: of} }
func (n *node) isNull() bool                 { return n.kind == 'r' && n.text == "null" }
func (n *node) put(m member)                 { n.members = append(n.members, m) }
func (n *node) add(name string, value *node) { n.put(member{name: name, value: value}) }

// member is the first member of that name; nil: there is none.
func (n *node) member(name string) *node {
	for i := range n.members {
		if n.members[i].name == name {
			return n.members[i].value
		}
	}
	return nil
}

// set replaces the members of that name.
func (n *node) set(name string, value *node) {
	for i := range n.members {
		if n.members[i].name == name {
			n.members[i].value = value
			return
		}
	}
	n.add(name, value)
}

func (n *node) copy() *node {
	other := &node{kind: n.kind, text: n.text}
	for _, m := range n.members {
		other.put(member{m.name, m.raw, m.value.copy()})
	}
	for _, item := range n.items {
		other.items = append(other.items, item.copy())
	}
	return other
}

// all collects n and the nodes below it of the kinds.
func (n *node) all(kinds string, into []*node) []*node {
	if strings.IndexByte(kinds, n.kind) >= 0 {
		into = append(into, n)
	}
	for i := range n.members {
		into = n.members[i].value.all(kinds, into)
	}
	for _, item := range n.items {
		into = item.all(kinds, into)
	}
	return into
}

// parse reads a document of this program; it panics if it is none.
func parse(text string) *node {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return parseValue(decoder, token(decoder))
}

func token(decoder *json.Decoder) json.Token {
	token, err := decoder.Token()
	if err != nil {
		panic(err)
	}
	return token
}

func parseValue(decoder *json.Decoder, at json.Token) *node {
	switch value := at.(type) {
	case nil:
		return raw("null")
	case bool, json.Number:
		return raw(fmt.Sprint(value))
	case string:
		return str(value)
	case json.Delim:
		whole := &node{kind: 'a'}
		if value == '{' {
			whole.kind = 'o'
		}
		for decoder.More() {
			if value == '{' {
				name := token(decoder).(string)
				whole.add(name, parseValue(decoder, token(decoder)))
			} else {
				whole.items = append(whole.items, parseValue(decoder, token(decoder)))
			}
		}
		token(decoder)
		return whole
	}
	panic("no value")
}

// A style says how likely what need not be is, in percent.
type style struct {
	spaces  int
	escapes int // of characters of names and strings
}

type writer struct {
	*rand.Rand
	style
	bytes []byte
}

func (w *writer) chance(percent int) bool { return percent > 0 && w.Intn(100) < percent }

func (w *writer) space() {
	for w.chance(w.spaces) {
		w.bytes = append(w.bytes, " \t\r\n"[w.Intn(4)])
	}
}

func (w *writer) escape(r rune) {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		w.bytes = append(w.bytes, fmt.Sprintf(`\u%04x\u%04X`, high, low)...)
	} else {
		w.bytes = append(w.bytes, fmt.Sprintf(`\u%04x`, r)...)
	}
}

// string writes quotes and what is between them; bytes that are not UTF-8 stay as they are.
func (w *writer) string(text string) {
	const short = "\"\\\b\f\n\r\t"
	w.bytes = append(w.bytes, '"')
	for i, r := range text {
		at := strings.IndexRune(short, r)
		switch {
		case r == 0xfffd && !strings.HasPrefix(text[i:], "\ufffd"):
			w.bytes = append(w.bytes, text[i])
		case at >= 0:
			w.bytes = append(w.bytes, '\\', "\"\\bfnrt"[at])
		case r == '/' && w.chance(w.escapes):
			w.bytes = append(w.bytes, '\\', '/')
		case r < 0x20 || w.chance(w.escapes):
			w.escape(r)
		default:
			w.bytes = append(w.bytes, string(r)...)
		}
	}
	w.bytes = append(w.bytes, '"')
}

func (w *writer) value(n *node) {
	w.space()
	switch n.kind {
	case 'r':
		w.bytes = append(w.bytes, n.text...)
	case 's':
		w.string(n.text)
	case 'a':
		w.bytes = append(w.bytes, '[')
		for i, item := range n.items {
			if i > 0 {
				w.bytes = append(w.bytes, ',')
			}
			w.value(item)
		}
		w.space()
		w.bytes = append(w.bytes, ']')
	case 'o':
		w.bytes = append(w.bytes, '{')
		for i, m := range n.members {
			if i > 0 {
				w.bytes = append(w.bytes, ',')
			}
			w.space()
			if m.raw != "" {
				w.bytes = append(append(append(w.bytes, '"'), m.raw...), '"')
			} else {
				w.string(m.name)
			}
			w.space()
			w.bytes = append(w.bytes, ':')
			w.value(m.value)
		}
		w.space()
		w.bytes = append(w.bytes, '}')
	}
	w.space()
}
