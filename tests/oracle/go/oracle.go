// SPDX-License-Identifier: MIT

// The proof that bodies are judged as the Engine reads them. It makes up bodies, has the judge
// decide, and reads with Go's encoding/json, as the Engine does:
//
//   - what was accepted, and what goes to the Engine in its place, are read alike;
//   - what is dangerous as it is read is refused (danger.go);
//   - what a client may send is accepted.
//
// It prints the seed and the counts, and each failure with what repeats it.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"
)

const batch = 256

// A judge says whether a body goes to the Engine, and as what; or why it does not.
type judge interface {
	decide(bodies []body) []verdict
}

type verdict struct {
	accepted bool
	bytes    []byte
}

// ── Judges ──────────────────────────────────────────────────────────────────

// A process is the judge of the proxy: judge.c.
type process struct {
	in  *bufio.Writer
	out *bufio.Reader
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
}

func start(path string, arguments ...string) *process {
	command := exec.Command(path, arguments...)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	fatal(err)
	out, err := command.StdoutPipe()
	fatal(err)
	fatal(command.Start())
	return &process{bufio.NewWriterSize(in, 1<<16), bufio.NewReaderSize(out, 1<<16)}
}

func (p *process) decide(bodies []body) []verdict {
	go func() {
		for _, b := range bodies {
			var head [5]byte
			head[0] = b.letter
			binary.BigEndian.PutUint32(head[1:], uint32(len(b.bytes)))
			p.in.Write(head[:])
			p.in.Write(b.bytes)
		}
		fatal(p.in.Flush())
	}()
	verdicts := make([]verdict, len(bodies))
	for i := range verdicts {
		var head [5]byte
		_, err := io.ReadFull(p.out, head[:])
		fatal(err)
		verdicts[i] = verdict{head[0] == 'A', make([]byte, binary.BigEndian.Uint32(head[1:]))}
		_, err = io.ReadFull(p.out, verdicts[i].bytes)
		fatal(err)
	}
	return verdicts
}

// A control is no judge: this program must find what it lets through.
type control func(b body) verdict

func (c control) decide(bodies []body) []verdict {
	verdicts := make([]verdict, len(bodies))
	for i, b := range bodies {
		verdicts[i] = c(b)
	}
	return verdicts
}

func acceptAll(b body) verdict { return verdict{true, b.bytes} }

// naive reads a document without types, looks for three words where they belong, and writes it anew.
func naive(b body) verdict {
	var document map[string]interface{}
	if json.Unmarshal(b.bytes, &document) != nil {
		return verdict{}
	}
	if host, _ := document["HostConfig"].(map[string]interface{}); host != nil {
		if host["Privileged"] == true || host["Binds"] != nil || host["NetworkMode"] == "host" {
			return verdict{}
		}
	}
	rewritten, err := json.Marshal(document)
	return verdict{err == nil, rewritten}
}

// ── Checks ──────────────────────────────────────────────────────────────────

// counts is what one worker saw, or all.
type counts struct {
	bodies, accepted, refused, plain, dangerous, read int
	ways, failures                                    map[string]int
	shown                                             []string
}

func newCounts() *counts { return &counts{ways: map[string]int{}, failures: map[string]int{}} }

func (c *counts) add(other *counts) {
	c.bodies += other.bodies
	c.accepted += other.accepted
	c.refused += other.refused
	c.plain += other.plain
	c.dangerous += other.dangerous
	c.read += other.read
	for name, count := range other.ways {
		c.ways[name] += count
	}
	for name, count := range other.failures {
		c.failures[name] += count
	}
	c.shown = append(c.shown, other.shown...)
}

const shownMost = 2 // of each kind of failure, by each worker

func shorten(text []byte) string {
	if len(text) > 3000 {
		return fmt.Sprintf("%q and %d bytes more", text[:3000], len(text)-3000)
	}
	return fmt.Sprintf("%q", text)
}

func (c *counts) fail(kind string, number uint64, b body, v verdict, detail string) {
	kind += ": " + detail
	if c.failures[kind]++; c.failures[kind] > shownMost {
		return
	}
	c.shown = append(c.shown, fmt.Sprintf("%s\n  body %d (%c), made by: %s\n  body:   %s\n  answer: %s", kind, number,
		b.letter, strings.Join(b.how, ", "), shorten(b.bytes), shorten(v.bytes)))
}

// decode reads the first document of the bytes, as Engines up to 20.10 do.
func decode(data []byte, into interface{}) error {
	return json.NewDecoder(bytes.NewReader(data)).Decode(into)
}

// forget empties the texts of a field: what only clients need, and the judge drops.
func forget(value reflect.Value, name string) {
	switch value.Kind() {
	case reflect.Ptr, reflect.Interface:
		if !value.IsNil() {
			forget(value.Elem(), name)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if key.Kind() == reflect.String && strings.EqualFold(key.String(), name) {
				value.SetMapIndex(key, reflect.Zero(value.Type().Elem()))
			} else {
				forget(value.MapIndex(key), name)
			}
		}
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			if value.Type().Field(i).Name == name {
				value.Field(i).Set(reflect.Zero(value.Field(i).Type()))
			} else if value.Field(i).CanSet() {
				forget(value.Field(i), name)
			}
		}
	}
}

// same compares two readings of one kind; "" or the difference.
func same(read func([]byte, interface{}) error, blank func() interface{}, original, rewritten []byte) string {
	one, other := blank(), blank()
	oneError, otherError := read(original, one), read(rewritten, other)
	if (oneError == nil) != (otherError == nil) {
		return "Go reads one of the two"
	}
	forget(reflect.ValueOf(one), "ContainerIDFile")
	forget(reflect.ValueOf(other), "ContainerIDFile")
	if oneError == nil && !reflect.DeepEqual(one, other) {
		return "Go reads them otherwise"
	}
	return ""
}

func untyped() interface{} { return new(interface{}) }

// checkSame: whatever goes to the Engine says what the client said, and nothing else.
func checkSame(readings []reading, original, rewritten []byte) string {
	if !json.Valid(rewritten) {
		return "what goes to the Engine is not one document"
	}
	if bytes.Equal(original, rewritten) {
		return ""
	}
	for _, reading := range readings {
		if difference := same(decode, reading.blank, original, rewritten); difference != "" {
			return reading.name + ": " + difference
		}
		if difference := same(json.Unmarshal, reading.blank, original, rewritten); difference != "" {
			return reading.name + ", whole: " + difference
		}
	}
	return same(json.Unmarshal, untyped, original, rewritten)
}

// rules is what the policy allows: standard, nothing dangerous; narrow, what narrow.yaml says; open, everything.
var rules string

func (r *reading) forbidden(body interface{}) string {
	switch rules {
	case "open":
		return ""
	case "narrow":
		return narrowDanger(body)
	}
	return r.danger(body)
}

// dangerOf is why a body must be refused; read: an Engine reads it at all.
func dangerOf(readings []reading, data []byte) (reason string, read bool) {
	for _, reading := range readings {
		into := reading.blank()
		if decode(data, into) != nil {
			continue
		}
		read = true
		if found := reading.forbidden(into); found != "" {
			reason = reading.name + ": " + found
		}
	}
	return reason, read
}

func readingsOf(letter byte) []reading {
	for _, operation := range operations {
		if operation.letter == letter {
			return operation.readings
		}
	}
	panic("no such operation")
}

var digits = regexp.MustCompile(`/[0-9]+`)

// pointerOf is where the first reason of an answer points, without numbers.
func pointerOf(reasons []byte) string {
	return digits.ReplaceAllString(strings.SplitN(string(reasons), ":", 2)[0], "/N")
}

func (c *counts) check(number uint64, b body, v verdict) {
	readings := readingsOf(b.letter)
	reason, read := dangerOf(readings, b.bytes)
	c.bodies++
	if read {
		c.read++
	}
	if b.plain {
		c.plain++
	}
	if reason != "" {
		c.dangerous++
		c.ways[reason[strings.Index(reason, ": ")+2:]]++
	}
	if !v.accepted {
		c.refused++
		if b.plain && reason == "" {
			c.fail("harmless refused", number, b, v, pointerOf(v.bytes))
		}
		return
	}
	c.accepted++
	if reason != "" {
		c.fail("danger accepted", number, b, v, reason)
	}
	if difference := checkSame(readings, b.bytes, v.bytes); difference != "" {
		c.fail("read otherwise", number, b, v, difference)
	}
}

// ── The run ─────────────────────────────────────────────────────────────────

// clientBodies reads NAME.LETTER.json of a folder: what real clients send.
func clientBodies(folder string) (map[byte][]*node, []body) {
	seeds := map[byte][]*node{}
	var bodies []body
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	fatal(err)
	sort.Strings(paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		fatal(err)
		parts := strings.Split(filepath.Base(path), ".")
		letter := parts[len(parts)-2][0]
		seeds[letter] = append(seeds[letter], parse(string(text)))
		bodies = append(bodies, body{letter, text, true, []string{filepath.Base(path)}})
	}
	return seeds, bodies
}

// work checks the bodies of every step-th batch.
func work(by judge, seed, from, until, first, step uint64, seeds map[byte][]*node) *counts {
	found := newCounts()
	for at := from + first*batch; at < until; at += step * batch {
		var bodies []body
		for i := at; i < at+batch && i < until; i++ {
			bodies = append(bodies, generate(seed, i, seeds))
		}
		for i, v := range by.decide(bodies) {
			found.check(at+uint64(i), bodies[i], v)
		}
	}
	return found
}

func (c *counts) print(took time.Duration) int {
	for _, text := range c.shown {
		fmt.Println(text)
	}
	fmt.Print("dangerous by:")
	for _, name := range sortedNames(c.ways) {
		fmt.Printf(" %s %d;", name, c.ways[name])
	}
	fmt.Printf("\nbodies %d, read by Go %d, accepted %d, refused %d, dangerous %d, plain %d, in %.1f s\n", c.bodies, c.read, c.accepted,
		c.refused, c.dangerous, c.plain, took.Seconds())
	total := 0
	for _, kind := range sortedNames(c.failures) {
		fmt.Printf("%d times %s\n", c.failures[kind], kind)
		total += c.failures[kind]
	}
	fmt.Printf("failures: %d\n", total)
	return total
}

func main() {
	path := flag.String("judge", "", "the judge; 'all' or 'naive': a control, which must fail")
	count := flag.Uint64("count", 100000, "how many bodies")
	from := flag.Uint64("from", 0, "the number of the first body")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what the bodies are made from")
	workers := flag.Uint64("workers", 2, "how many judges at a time")
	clients := flag.String("clients", "", "the folder of bodies that clients send")
	blocks := flag.String("blocks", "", "what the judge allows: a file")
	flag.StringVar(&rules, "rules", "standard", "what that file allows: standard, narrow, open")
	show := flag.Bool("show", false, "print the bodies, and judge nothing")
	flag.Parse()

	prepare(rules)
	seeds, sent := clientBodies(*clients)
	fmt.Printf("seed %d, from %d, count %d\n", *seed, *from, *count)
	if *show {
		for i := *from; i < *from+*count; i++ {
			b := generate(*seed, i, seeds)
			fmt.Printf("%d (%c) %v %v: %s\n", i, b.letter, b.plain, b.how, shorten(b.bytes))
		}
		return
	}
	newJudge := func() judge { return start(*path) }
	if *blocks != "" {
		newJudge = func() judge { return start(*path, *blocks) }
	}
	switch *path {
	case "all":
		newJudge = func() judge { return control(acceptAll) }
	case "naive":
		newJudge = func() judge { return control(naive) }
	}

	began := time.Now()
	all := newCounts()
	for i, v := range newJudge().decide(sent) {
		all.check(uint64(i), sent[i], v)
	}
	var wait sync.WaitGroup
	var lock sync.Mutex
	for i := uint64(0); i < *workers; i++ {
		wait.Add(1)
		go func(i uint64) {
			defer wait.Done()
			found := work(newJudge(), *seed, *from, *from+*count, i, *workers, seeds)
			lock.Lock()
			defer lock.Unlock()
			all.add(found)
		}(i)
	}
	wait.Wait()
	if all.print(time.Since(began)) > 0 {
		os.Exit(1)
	}
}
