// SPDX-License-Identifier: MIT

// Bodies as clients send them, with all fields at random, and what attackers make of them.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"sort"
	"strings"
	"time"
	"unicode"
)

// Values of a field, by the type that has it; what is not here is made up from the type. Fine: a
// policy without exceptions allows them. Bad: it must not.
type sample struct {
	fine []string
	bad  []string
}

// throttled are paths of devices that are slowed down.
var throttled = sample{[]string{`"/dev/sda"`, `"/dev/disk/by-id/a"`}, []string{`"/etc/shadow"`, `"/dev/../etc"`, `"dev/sda"`}}

func only(fine string, bad ...string) sample { return sample{[]string{fine}, bad} }

var closedList = []string{`null`, `[]`}
var closedMap = []string{`null`, `{}`}
var closedText = []string{`""`}

func quoted(texts ...string) []string {
	var all []string
	for _, text := range texts {
		bytes, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		all = append(all, string(bytes))
	}
	return all
}

var samples = map[string]sample{
	"Config.Image":   {[]string{`"busybox"`, `"alpine:3.19"`, `"registry.example.com:5000/ci/tool@sha256:` + strings.Repeat("ab", 32) + `"`}, nil},
	"Config.Labels":  {[]string{`null`, `{}`, `{"com.docker.compose.project":"web","com.docker.compose.service":"db"}`, `{"a":"","b.c":"é"}`}, []string{`{"docker-socket-proxy.owner":"other"}`}},
	"Config.Volumes": {[]string{`null`, `{}`, `{"/v":{}}`, `{"/v":{},"/w x":{}}`, `{"":{}}`}, []string{`{"/etc:/x":{}}`, `{"/v":{},"/a,b":{}}`}},
	"HostConfig.Binds": {[]string{`null`, `[]`, `["data:/data"]`, `["data:/data:ro","v_1.x-y:/y:rw,nocopy,z"]`, `["/data"]`, `["data:/d:private"]`},
		[]string{`["/:/host"]`, `["/etc:/etc:ro"]`, `["data:/data","/var/run/docker.sock:/s"]`, `["data:/d:rshared"]`, `["data:/d:ro,slave"]`, `["../etc:/x"]`, `["~/x:/x"]`, `["//:/x"]`, `[".:/x"]`}},
	"HostConfig.LogConfig": {[]string{`null`, `{}`, `{"Type":"","Config":{}}`, `{"Type":"json-file","Config":{"max-size":"10m","max-file":"3"}}`, `{"Type":"local","Config":null}`},
		[]string{`{"Type":"syslog","Config":{"syslog-address":"tcp://192.0.2.1:514"}}`, `{"Type":"none"}`, `{"Config":{"gelf-address":"udp://192.0.2.1"}}`, `{"Type":"Local"}`}},
	"HostConfig.NetworkMode":     {[]string{`""`, `"default"`, `"bridge"`, `"none"`, `"ci-net"`, `"Host"`}, []string{`"host"`, `"container:web"`, `"container:"`, `"ns:/proc/1/ns/net"`}},
	"HostConfig.PortBindings":    {[]string{`null`, `{}`}, []string{`{"80/tcp":null}`, `{"80/tcp":[]}`, `{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}`, `{"80/tcp":[{}]}`, `{"80/tcp":[null]}`, `{"53/udp":[],"80":[{"HostIp":"127.0.0.1"}]}`}},
	"HostConfig.VolumeDriver":    {[]string{`""`, `"local"`}, []string{`"rexray"`, `"LOCAL"`}},
	"HostConfig.VolumesFrom":     {closedList, []string{`["web"]`, `["web:ro"]`, `[""]`, `[null]`}},
	"HostConfig.Annotations":     {closedMap, []string{`{"run.oci.hooks":"x"}`, `{"":""}`, `{"a":null}`}},
	"HostConfig.CapAdd":          {closedList, []string{`["SYS_ADMIN"]`, `["cap_net_raw"]`, `["all"]`, `[""]`, `"ALL"`, `[null]`}},
	"HostConfig.CgroupnsMode":    {[]string{`""`, `"private"`}, []string{`"host"`}},
	"HostConfig.GroupAdd":        {closedList, []string{`["0"]`, `["docker"]`, `[""]`}},
	"HostConfig.IpcMode":         {[]string{`""`, `"private"`, `"none"`}, []string{`"host"`, `"container:web"`, `"shareable"`}},
	"HostConfig.Cgroup":          {closedText, []string{`"container:web"`}},
	"HostConfig.Links":           {closedList, []string{`["db:db"]`, `[""]`}},
	"HostConfig.OomScoreAdj":     {[]string{`0`, `500`, `1000`}, []string{`-1`, `-1000`}},
	"HostConfig.PidMode":         {[]string{`""`, `"private"`}, []string{`"host"`, `"container:web"`}},
	"HostConfig.Privileged":      only(`false`, `true`),
	"HostConfig.PublishAllPorts": only(`false`, `true`),
	"HostConfig.SecurityOpt": {[]string{`null`, `[]`, `["no-new-privileges"]`, `["no-new-privileges:true"]`, `["no-new-privileges=true"]`},
		[]string{`["seccomp=unconfined"]`, `["apparmor:unconfined"]`, `["label=disable"]`, `["systempaths=unconfined"]`, `["no-new-privileges:false"]`, `["no-new-privileges","label:type:x"]`, `[""]`, `["no-new-privileges:true=x"]`}},
	"HostConfig.StorageOpt":    {[]string{`null`, `{}`, `{"size":"10G"}`}, []string{`{"dm.basesize":"1G"}`, `{"size":"1G","":""}`, `{"Size":"1"}`}},
	"HostConfig.Tmpfs":         {[]string{`null`, `{}`, `{"/tmp":""}`, `{"/tmp":"rw,noexec,nosuid,size=64m"}`}, []string{`{"/t":"suid"}`, `{"/t":"size=1m,dev"}`, `{"/a":"","/t":"exec,suid"}`}},
	"HostConfig.UTSMode":       {[]string{`""`, `"private"`}, []string{`"host"`}},
	"HostConfig.UsernsMode":    {[]string{`""`, `"private"`}, []string{`"host"`}},
	"HostConfig.Sysctls":       {closedMap, []string{`{"kernel.shmmax":"1"}`, `{"net.ipv4.ip_forward":""}`, `{"":""}`}},
	"HostConfig.Runtime":       {closedText, []string{`"runc"`, `"io.containerd.kata.v2"`}},
	"HostConfig.MaskedPaths":   {[]string{`null`}, []string{`[]`, `["/proc/kcore"]`}},
	"HostConfig.ReadonlyPaths": {[]string{`null`}, []string{`[]`, `[null]`}},
	"HostConfig.Mounts": {[]string{`null`, `[]`, `[{"Type":"volume","Source":"data","Target":"/d"}]`, `[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1023}}]`,
		`[{"Type":"volume","Target":"/v","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"DriverConfig":{"Name":"local"}}},{"Type":"image","Source":"busybox","Target":"/i"}]`,
		`[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["noexec"],["size","1m"]]}}]`},
		[]string{`[{"Type":"bind","Source":"/","Target":"/h"}]`, `[{"Type":"volume","Source":"d","Target":"/d"},{"type":"bind","source":"/etc","target":"/e"}]`,
			`[{"Type":"volume","Target":"/v","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]`,
			`[{"Type":"volume","Target":"/v","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}]`, `[{"Type":"npipe","Source":"\\\\.\\pipe\\x","Target":"/p"}]`,
			`[{"Type":"cluster","Source":"c","Target":"/c","ClusterOptions":{}}]`, `[{"Target":"/x"}]`, `[{}]`, `[null]`,
			`[{"Type":"volume","Source":"/etc","Target":"/e"}]`, `[{"Type":"volume","Source":"v","Target":"/e","BindOptions":{"Propagation":"rshared"}}]`,
			`[{"Type":"volume","Target":"/v","VolumeOptions":{"Labels":{"docker-socket-proxy.owner":"x"}}}]`,
			`[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["suid"]]}}]`, `[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["size","1m,suid"]]}}]`,
			`[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["noexec,dev"]]}}]`, `[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"Options":[["mode","1","suid"]]}}]`}},
	"Resources.CgroupParent":       {closedText, []string{`"/"`, `"system.slice"`}},
	"Resources.CpuRealtimePeriod":  only(`0`, `1`, `1000000`),
	"Resources.CpuRealtimeRuntime": only(`0`, `95000`, `-1`),
	"Resources.Devices":            {closedList, []string{`[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}]`, `[{}]`, `[{"PathInContainer":"/dev/x"}]`, `[null]`, `[{"PathOnHost":""}]`}},
	"Resources.DeviceCgroupRules":  {closedList, []string{`["a *:* rwm"]`, `["c 1:1 r"]`, `[""]`}},
	"Resources.DeviceRequests":     {closedList, []string{`[{"Driver":"nvidia","Count":-1,"Capabilities":[["gpu"]]}]`, `[{}]`, `[null]`, `[{"Driver":"cdi","DeviceIDs":["x"]}]`}},
	// Of mounts that are made up, all are called fine: danger.go decides.
	"Mount.Type":                       {quoted("bind", "bind", "volume", "volume", "tmpfs", "image", "cluster", "npipe", "", "Bind"), nil},
	"Mount.Source":                     {quoted(sources...), nil},
	"BindOptions.Propagation":          {quoted("", "private", "rprivate", "rslave", "shared", "rshared", "Private"), nil},
	"Driver.Name":                      {quoted("", "local", "local", "nfs", "Local"), nil},
	"Driver.Options":                   {[]string{`null`, `{}`, `{"size":"1m"}`, `{"":""}`}, nil},
	"VolumeOptions.Labels":             {[]string{`null`, `{}`, `{"a":"b"}`, `{"docker-socket-proxy.owner":"x"}`, `{"traefik.enable":"true"}`}, nil},
	"TmpfsOptions.Options":             {[]string{`null`, `[]`, `[["noexec"],["size","1m"]]`, `[["suid"]]`, `[["size","1m,dev"]]`, `[[]]`, `[["mode","1","suid"]]`, `[["","suid"]]`}, nil},
	"Ulimit.Name":                      {[]string{`"nofile"`, `"core"`, `"MEMLOCK"`}, []string{`"rtprio"`, `"NICE"`, `"rttime"`}},
	"WeightDevice.Path":                throttled,
	"ThrottleDevice.Path":              throttled,
	"Resources.OomKillDisable":         {[]string{`null`, `false`}, []string{`true`}},
	"EndpointSettings.DriverOpts":      {closedMap, []string{`{"com.docker.network.endpoint.sysctls":"x"}`, `{"":""}`}},
	"EndpointSettings.Links":           {closedList, []string{`["db:db"]`, `[""]`}},
	"EndpointSettings.NetworkID":       {[]string{`""`, `"ci"`}, []string{`"host"`, `"container:x"`}},
	"NetworkingConfig.EndpointsConfig": {nil, []string{`{"host":{}}`, `{"ci":{},"host":null}`, `{"container:web":{}}`, `{"ci":{"Links":["a"]}}`, `{"ci":{"DriverOpts":{"a":"b"}}}`}},
	"Connect.EndpointConfig":           {nil, []string{`{"Links":["a:b"]}`, `{"DriverOpts":{"a":"b"}}`, `{"NetworkID":"host"}`}},
	"Exec.Privileged":                  only(`false`, `true`),
	"Exec.ConsoleSize":                 {[]string{`null`, `[0,0]`, `[24,80]`}, nil},
	"HostConfig.ConsoleSize":           {[]string{`[0,0]`, `[24,80]`}, nil},
	"Volume.Driver":                    {[]string{`""`, `"local"`}, []string{`"nfs"`, `"Local"`}},
	"Volume.DriverOpts":                {closedMap, []string{`{"type":"none","o":"bind","device":"/"}`, `{"type":"overlay","o":"lowerdir=/etc:/srv"}`, `{"size":""}`}},
	"Volume.ClusterVolumeSpec":         {[]string{`null`}, []string{`{}`, `{"Group":"a"}`}},
	"Volume.Labels":                    {[]string{`null`, `{}`, `{"a":"b"}`}, []string{`{"docker-socket-proxy.owner":"x"}`}},
	"Network.Driver":                   {[]string{`""`, `"bridge"`}, []string{`"macvlan"`, `"ipvlan"`, `"overlay"`, `"host"`}},
	"Network.Scope":                    {[]string{`""`, `"local"`}, []string{`"swarm"`}},
	"Network.Ingress":                  only(`false`, `true`),
	"Network.ConfigOnly":               only(`false`, `true`),
	"Network.ConfigFrom":               {[]string{`null`, `{}`, `{"Network":""}`}, []string{`{"Network":"x"}`}},
	"Network.Options":                  {closedMap, []string{`{"parent":"eth0"}`, `{"com.docker.network.bridge.name":""}`}},
	"Network.Labels":                   {[]string{`null`, `{}`, `{"a":"b"}`}, []string{`{"docker-socket-proxy.owner":"x"}`}},
	"IPAM.Driver":                      {[]string{`""`, `"default"`}, []string{`"dhcp"`}},
	"IPAMConfig.Subnet":                {[]string{`null`, `""`}, []string{`"192.0.2.0/24"`}},
	"IPAM.Options":                     {closedMap, []string{`{"a":"b"}`}},
}

var plainTexts = []string{"", "a", "web", "app-1", "/srv/x", "sh", "-c", "echo \"$HOME\" \\ 'x'", "A=b", "PATH=/usr/bin:/bin", "1000:1000",
	"é ü", "日本", "😀", "tab\tline\n", "\u2028", "\x7f", "\x01\x1f", "192.0.2.7", "no", "on-failure", "10s", "a,b", "null", "<&>", "x=y=z"}
var plainNames = []string{"a", "80/tcp", "/data", "com.example.x", "ci", "b c", "_", "0", "x~y/z", "\"q\"", ""}
var plainNumbers = []string{"0", "1", "7", "64", "1024", "536870912", "-1", "0", "-0"}

// field is one field of a body as Go sees it, for the samples its owner has.
type field struct {
	owner string
	name  string
	kind  reflect.Type
}

// fieldsOf lists the fields of a struct with those of the structs embedded in it.
func fieldsOf(kind reflect.Type) []field {
	var fields []field
	for i := 0; i < kind.NumField(); i++ {
		one := kind.Field(i)
		if one.Anonymous {
			embedded := one.Type
			if embedded.Kind() == reflect.Ptr {
				embedded = embedded.Elem()
			}
			fields = append(fields, fieldsOf(embedded)...)
			continue
		}
		name := strings.Split(one.Tag.Get("json"), ",")[0]
		if name == "" {
			name = one.Name
		}
		fields = append(fields, field{kind.Name(), name, one.Type})
	}
	return fields
}

var fieldTable = map[reflect.Type][]field{}
var bodyTypes = map[byte]reflect.Type{
	'C': reflect.TypeOf(Create{}), 'U': reflect.TypeOf(Update{}), 'E': reflect.TypeOf(Exec{}),
	'V': reflect.TypeOf(Volume{}), 'N': reflect.TypeOf(Network{}), 'J': reflect.TypeOf(Connect{}), 'S': reflect.TypeOf(Service{}),
}

// The bad samples of each operation: where they belong.
type badField struct {
	place string // "HostConfig": in it; "": at the top
	owner string
	name  string
	texts []string
}

// Fields that every body has, as "owner.name".
var needed = map[string]bool{}

var badFields = map[byte][]badField{}

// prepare fills the tables, before the goroutines start.
func prepare(rules string) {
	if rules == "narrow" {
		for name, values := range narrowSamples {
			samples[name] = values
		}
		for _, name := range narrowNeeds {
			needed[name] = true
		}
	}
	var visit func(kind reflect.Type)
	visit = func(kind reflect.Type) {
		switch kind.Kind() {
		case reflect.Ptr, reflect.Slice, reflect.Map, reflect.Array:
			visit(kind.Elem())
		case reflect.Struct:
			if _, done := fieldTable[kind]; !done {
				fieldTable[kind] = fieldsOf(kind)
				for _, one := range fieldTable[kind] {
					visit(one.kind)
				}
			}
		}
	}
	for letter, kind := range bodyTypes {
		visit(kind)
		for _, one := range fieldTable[kind] {
			if found := samples[one.owner+"."+one.name]; len(found.bad) > 0 {
				badFields[letter] = append(badFields[letter], badField{"", one.owner, one.name, found.bad})
			}
		}
	}
	addPlace('C', "HostConfig", reflect.TypeOf(HostConfig{}))
	addPlace('C', "NetworkingConfig", reflect.TypeOf(NetworkingConfig{}))
	addPlace('N', "IPAM", reflect.TypeOf(IPAM{}))
	badFields['N'] = append(badFields['N'],
		badField{"IPAM", "IPAM", "Config", []string{`[{"Subnet":"192.0.2.0/24"}]`, `[{},{"Subnet":" "}]`}})
	for place, kind := range servicePlaces {
		addPlace('S', place, kind)
	}
	// A map has no order, and a seed makes the same bodies again.
	sort.Slice(badFields['S'], func(i, k int) bool {
		a, b := badFields['S'][i], badFields['S'][k]
		return a.place+a.name < b.place+b.name
	})
	for name := range samples {
		if !known(name) {
			panic("samples for a field that is not there: " + name)
		}
	}
}

// addPlace notes the bad samples of the fields of an object in the body.
func addPlace(letter byte, place string, kind reflect.Type) {
	for _, one := range fieldTable[kind] {
		if found := samples[one.owner+"."+one.name]; len(found.bad) > 0 {
			badFields[letter] = append(badFields[letter], badField{place, one.owner, one.name, found.bad})
		}
	}
}

func known(name string) bool {
	for _, fields := range fieldTable {
		for _, one := range fields {
			if one.owner+"."+one.name == name {
				return true
			}
		}
	}
	return false
}

// A splitmix is a source of random numbers that costs nothing to seed.
type splitmix uint64

func (s *splitmix) Uint64() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
func (s *splitmix) Int63() int64    { return int64(s.Uint64() >> 1) }
func (s *splitmix) Seed(seed int64) { *s = splitmix(seed) }

type generator struct {
	*rand.Rand
	density int // how likely a field is there, in percent
}

func (g *generator) chance(percent int) bool     { return g.Intn(100) < percent }
func (g *generator) pick(from []string) string   { return from[g.Intn(len(from))] }
func (g *generator) pickNode(from []*node) *node { return from[g.Intn(len(from))] }

// fill makes up a harmless value of a type.
func (g *generator) fill(kind reflect.Type) *node {
	switch kind.Kind() {
	case reflect.Ptr:
		if g.chance(15) {
			return raw("null")
		}
		return g.fill(kind.Elem())
	case reflect.Bool:
		return raw(g.pick([]string{"false", "true"}))
	case reflect.String:
		return str(g.pick(plainTexts))
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return raw(g.pick(plainNumbers[:5]))
	case reflect.Int, reflect.Int64:
		if kind == reflect.TypeOf(time.Duration(0)) {
			return raw(fmt.Sprint(g.Int63n(1e12)))
		}
		return raw(g.pick(plainNumbers))
	case reflect.Slice, reflect.Array:
		return g.fillList(kind)
	case reflect.Map:
		if g.chance(20) {
			return raw("null")
		}
		whole := object()
		for _, i := range g.Perm(len(plainNames))[:g.Intn(3)] {
			whole.add(plainNames[i], g.fill(kind.Elem()))
		}
		return whole
	case reflect.Struct:
		return g.fillStruct(kind)
	}
	panic("no values for " + kind.String())
}

func (g *generator) fillList(kind reflect.Type) *node {
	if g.chance(20) {
		return raw("null")
	}
	if kind == reflect.TypeOf(words{}) && g.chance(20) {
		return str(g.pick(plainTexts))
	}
	element := kind.Elem()
	if element.Kind() == reflect.Ptr { // a null among structs is refused: 20.10 fails later
		element = element.Elem()
	}
	whole := list()
	for i := g.Intn(3); i > 0; i-- {
		whole.items = append(whole.items, g.fill(element))
	}
	return whole
}

func (g *generator) fillStruct(kind reflect.Type) *node {
	whole := object()
	for _, one := range fieldTable[kind] {
		must := needed[one.owner+"."+one.name]
		if !must && !g.chance(g.density) {
			continue
		}
		found := samples[one.owner+"."+one.name]
		if must && found.fine == nil {
			inner := one.kind
			if inner.Kind() == reflect.Ptr {
				inner = inner.Elem()
			}
			whole.add(one.name, g.fillStruct(inner))
		} else if found.fine != nil {
			whole.add(one.name, parse(g.pick(found.fine)))
		} else {
			whole.add(one.name, g.fill(one.kind))
		}
	}
	if g.chance(30) {
		g.Shuffle(len(whole.members), func(i, k int) {
			whole.members[i], whole.members[k] = whole.members[k], whole.members[i]
		})
	}
	return whole
}

// A body and what the generator knows about it.
type body struct {
	letter byte
	bytes  []byte
	plain  bool // as a client may send it: harmless, every name as it is documented
	how    []string
}

func generate(seed, number uint64, clients map[byte][]*node) body {
	source := splitmix(seed*0x2545f4914f6cdd1d + number*0xd1342543de82ef95)
	g := &generator{rand.New(&source), 0}
	b := body{plain: true}
	at := g.Intn(100)
	for _, operation := range operations {
		if at -= operation.share; at < 0 {
			b.letter = operation.letter
			break
		}
	}
	g.density = []int{3, 3, 8, 8, 8, 15, 15, 30, 60, 100}[g.Intn(7)]
	if b.letter != 'C' {
		g.density = 30 + g.Intn(71)
	}
	root := g.fillStruct(bodyTypes[b.letter])
	if seeds := clients[b.letter]; len(seeds) > 0 && g.chance(4) {
		root = g.pickNode(seeds).copy()
	}
	w := writer{Rand: g.Rand}
	if g.chance(40) {
		w.style = style{g.Intn(40), g.Intn(3) * g.Intn(20)}
	}
	if g.chance(55) {
		g.attack(&b, root)
		w.value(root)
		b.bytes = w.bytes
		if g.chance(20) {
			g.damage(&b)
		}
		return b
	}
	w.value(root)
	b.bytes = w.bytes
	return b
}

// ── Attacks on the tree ─────────────────────────────────────────────────────

type attack struct {
	name  string
	share int
	run   func(g *generator, b *body, root *node) bool
}

var attacks []attack

func init() {
	attacks = []attack{
		{"danger", 30, danger},
		{"danger at the top", 12, dangerAtTheTop},
		{"case", 20, changeCase},
		{"fold", 8, fold},
		{"escape", 8, escapeName},
		{"repeat", 12, repeat},
		{"repeat HostConfig", 6, repeatHost},
		{"reuse", 4, reuse},
		{"null", 8, makeNull},
		{"type", 8, changeType},
		{"number", 8, changeNumber},
		{"unknown", 5, unknownName},
		{"text", 6, changeText},
		{"deep", 2, deepen},
		{"empty", 5, empty},
		{"move", 4, move},
		{"remove", 6, remove},
		{"edit", 10, edit},
		{"bind", 6, someBinds},
		{"mount", 6, someMounts},
		{"root", 1, changeRoot},
	}
}

// attack does one to three of them. Only a change of case leaves a body harmless for sure.
func (g *generator) attack(b *body, root *node) {
	total := 0
	for _, one := range attacks {
		total += one.share
	}
	for left := 1 + g.Intn(3); left > 0; left-- {
		at := g.Intn(total)
		for _, one := range attacks {
			if at -= one.share; at < 0 {
				if one.run(g, b, root) {
					b.how = append(b.how, one.name)
					b.plain = false
				}
				break
			}
		}
	}
}

// objects of the tree that have members.
func objects(root *node) []*node {
	var full []*node
	for _, one := range root.all("o", nil) {
		if len(one.members) > 0 {
			full = append(full, one)
		}
	}
	return full
}

func (g *generator) someMember(root *node) (*node, int) {
	full := objects(root)
	if len(full) == 0 {
		return nil, 0
	}
	// The root and what is below it are as likely as all others.
	one := full[0]
	if g.chance(60) {
		one = g.pickNode(full)
	}
	return one, g.Intn(len(one.members))
}

func (g *generator) bad(letter byte) (badField, *node) {
	fields := badFields[letter]
	one := fields[g.Intn(len(fields))]
	return one, parse(g.pick(one.texts))
}

func danger(g *generator, b *body, root *node) bool {
	one, value := g.bad(b.letter)
	parent := root
	for _, name := range strings.FieldsFunc(one.place, func(r rune) bool { return r == '/' }) {
		below := parent.member(name)
		if below == nil || below.kind != 'o' {
			below = object()
			parent.set(name, below)
		}
		parent = below
	}
	parent.set(one.name, value)
	return true
}

// dangerAtTheTop puts a field of HostConfig where old Engines read it too.
func dangerAtTheTop(g *generator, b *body, root *node) bool {
	one, value := g.bad(b.letter)
	root.set(one.name, value)
	if g.chance(50) {
		for i := range root.members {
			if root.members[i].name == "HostConfig" {
				root.members = append(root.members[:i], root.members[i+1:]...)
				break
			}
		}
	} else if g.chance(30) {
		root.set("HostConfig", raw("null"))
	}
	return true
}

func (g *generator) otherCase(name string) string {
	switch g.Intn(3) {
	case 0:
		return strings.ToLower(name)
	case 1:
		return strings.ToUpper(name)
	}
	letters := []rune(name)
	for i, r := range letters {
		if g.chance(30) {
			if unicode.IsUpper(r) {
				letters[i] = unicode.ToLower(r)
			} else {
				letters[i] = unicode.ToUpper(r)
			}
		}
	}
	return string(letters)
}

func changeCase(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	one.members[i].name = g.otherCase(one.members[i].name)
	return true
}

// folded has characters that Go takes for an s or a k.
func folded(name string) string {
	name = strings.NewReplacer("s", "\u017f", "k", "\u212a", "S", "\u017f", "K", "\u212a").Replace(name)
	return name
}

func fold(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	one.members[i].name = folded(one.members[i].name)
	return true
}

func (g *generator) escaped(name string) string {
	spelled := ""
	for _, r := range name {
		if r >= 0x80 || r == '"' || r == '\\' || g.chance(40) {
			spelled += fmt.Sprintf(g.pick([]string{`\u%04x`, `\u%04X`}), r)
		} else {
			spelled += string(r)
		}
	}
	return spelled
}

func escapeName(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	one.members[i].raw = g.escaped(one.members[i].name)
	return true
}

func (g *generator) respelled(name string) string {
	switch g.Intn(3) {
	case 0:
		return name
	case 1:
		return g.otherCase(name)
	}
	return folded(name)
}

func (g *generator) insert(whole *node, m member) {
	i := g.Intn(len(whole.members) + 1)
	whole.members = append(whole.members, member{})
	copy(whole.members[i+1:], whole.members[i:])
	whole.members[i] = m
}

func repeat(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	m := one.members[i]
	other := member{name: g.respelled(m.name), value: m.value.copy()}
	switch g.Intn(4) {
	case 0:
		other.value = raw("null")
	case 1:
		other.value = g.junk(2)
	}
	if g.chance(20) {
		other.raw = g.escaped(other.name)
	}
	g.insert(one, other)
	return true
}

func repeatHost(g *generator, b *body, root *node) bool {
	if b.letter != 'C' {
		return false
	}
	one, value := g.bad('C')
	other := object()
	other.add(one.name, value)
	g.insert(root, member{name: g.respelled("HostConfig"), value: other})
	return true
}

// reuse repeats a list with elements that leave out what the first had.
func reuse(g *generator, b *body, root *node) bool {
	host := g.hostOf(b, root)
	if host == nil {
		return false
	}
	host.add("Mounts", parse(g.pick(samples["HostConfig.Mounts"].bad)))
	host.add(g.respelled("Mounts"), parse(`[{"Target":"/z"}]`))
	return true
}

func makeNull(g *generator, _ *body, root *node) bool {
	nodes := root.all("oasr", nil)
	*g.pickNode(nodes) = *raw("null")
	return true
}

// junk is a value of any type.
func (g *generator) junk(depth int) *node {
	switch g.Intn(8) {
	case 0:
		return raw("true")
	case 1:
		return raw("false")
	case 2:
		return raw("null")
	case 3:
		return raw(g.pick(plainNumbers))
	case 4, 5:
		return str(g.pick([]string{"", "true", "host", "1", "/", "null"}))
	case 6:
		whole := list()
		for i := g.Intn(3); depth > 0 && i > 0; i-- {
			whole.items = append(whole.items, g.junk(depth-1))
		}
		return whole
	}
	whole := object()
	for i := g.Intn(3); depth > 0 && i > 0; i-- {
		whole.add(g.pick(plainNames), g.junk(depth-1))
	}
	return whole
}

func changeType(g *generator, _ *body, root *node) bool {
	nodes := root.all("oasr", nil)
	if len(nodes) < 2 {
		return false
	}
	*g.pickNode(nodes[1:]) = *g.junk(2)
	return true
}

var numbers = []string{"1e3", "1E+2", "0e0", "1.0", "0.0", "-0", "-0.0", "0.5", "1e400", "1e-400", "9223372036854775807", "9223372036854775808",
	"-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "65535", "65536", "4294967296", "-1", "-2147483649",
	"01", "+1", "0x10", "1_000", "NaN", "Infinity", "-", "1.", ".5", "1e", "00", "-01", strings.Repeat("9", 400), "0." + strings.Repeat("0", 300) + "1", "1234567890123456789012"}

func changeNumber(g *generator, _ *body, root *node) bool {
	nodes := root.all("r", nil)
	if len(nodes) == 0 {
		return false
	}
	*g.pickNode(nodes) = *raw(g.pick(numbers))
	return true
}

func unknownName(g *generator, b *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	bad, value := g.bad(b.letter)
	name := g.pick([]string{bad.name + " ", " " + bad.name, bad.name + "s", bad.name + "\u0000", "\ufeff" + bad.name, "X-" + bad.name, "HostConfig." + bad.name,
		strings.Replace(bad.name, "i", "\u0131", 1), strings.Replace(bad.name, "e", "\u0435", 1), "Privil\xffeged", "Future", "Cpuset", "PortSpecs", "__proto__", one.members[i].name + "2", bad.name[:len(bad.name)-1]})
	if g.chance(50) {
		one = root
	}
	g.insert(one, member{name: name, value: value})
	return true
}

var texts = []string{`\ud800`, `\udc00x`, `\ud83d\ude00`, `\ud83dx\ude00`, `\u0000`, `a\u0000host`, "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x9f\x98\x80", "\u00ff",
	`\x41`, `\'`, `\/`, "\t", "\n", "\x00", "\x7f", `\u00zz`, `\u12`, `\`, `\uFFFF`, "\ufffd", `\ufffd`, `\u2028`, "\ufeff", "host", `h\u006fst`, "container:x", `\u0068ost`}

func changeText(g *generator, _ *body, root *node) bool {
	nodes := root.all("s", nil)
	if len(nodes) == 0 {
		return false
	}
	if g.chance(1) {
		*g.pickNode(nodes) = *str(strings.Repeat(g.pick([]string{"a", "é", "\"", "\n"}), g.Intn(60000)))
		return true
	}
	if g.chance(30) {
		if one, i := g.someMember(root); one != nil {
			one.members[i].raw = g.escaped(one.members[i].name) + g.pick(texts)
			return true
		}
	}
	*g.pickNode(nodes) = *raw(`"` + g.pick([]string{"", "x", "/"}) + g.pick(texts) + g.pick([]string{"", "y"}) + `"`)
	return true
}

// deepen nests a value around the ceilings of the proxy (64) and, rarely, of Go (10,000).
func deepen(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	depth := 58 + g.Intn(10)
	if g.chance(2) {
		depth = 9995 + g.Intn(10)
	}
	opens, closes := `[`, `]`
	if g.chance(50) {
		opens, closes = `{"a":`, `}`
	}
	value := raw(strings.Repeat(opens, depth) + "null" + strings.Repeat(closes, depth))
	if g.chance(50) {
		one.members[i].value = value
	} else {
		one.add("Future", value)
	}
	return true
}

func empty(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	switch g.Intn(4) {
	case 0:
		one.members[i].value = list()
	case 1:
		one.members[i].value = object()
	case 2:
		one.members[i].value = str("")
	default:
		one.add("", g.junk(1))
	}
	return true
}

// move takes a member from one object to another.
func move(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	m := one.members[i]
	full := objects(root)
	g.insert(g.pickNode(full), member{m.name, m.raw, m.value.copy()})
	return true
}

func remove(g *generator, _ *body, root *node) bool {
	one, i := g.someMember(root)
	if one == nil {
		return false
	}
	one.members = append(one.members[:i], one.members[i+1:]...)
	return true
}

var edits = []string{":", ",", "/", "..", "/../", "//", ".", " ", "=", "\t", "host", "container:", "1000", "*", "%2e", "\u017f", "a"}

// edit changes a character or two of a string.
func edit(g *generator, _ *body, root *node) bool {
	nodes := root.all("s", nil)
	if len(nodes) == 0 {
		return false
	}
	one := g.pickNode(nodes)
	letters := []rune(one.text)
	at := g.Intn(len(letters) + 1)
	end := at + g.Intn(2)
	if end > len(letters) {
		end = at
	}
	piece := g.pick(edits)
	if g.chance(30) {
		piece = ""
	}
	one.text = string(letters[:at]) + piece + string(letters[end:])
	return true
}

var sources = []string{"/", "/etc", "/srv/ci", "/srv/ci/", "/srv/ci/a", "/srv/cia", "/srv", "/srv/ci/..", "/srv/ci/../etc", "/srv//ci", "/srv/ci/./a", "/var/run/docker.sock",
	"data", "data.1", ".", "..", "./data", "~", "", "-x", "C", "\\\\.\\pipe\\x", "/srv/ci\t", "é"}
var options = []string{"", "ro", "rw", "z", "Z", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave", "ro,rshared", "RSHARED", " ro", "cached", "volume-nocopy", ":ro"}

func (g *generator) hostOf(b *body, root *node) *node {
	host := root.member("HostConfig")
	if b.letter != 'C' || host == nil || host.kind != 'o' {
		return nil
	}
	return host
}

// someBinds makes up binds of all kinds.
func someBinds(g *generator, b *body, root *node) bool {
	host := g.hostOf(b, root)
	if host == nil {
		return false
	}
	binds := list()
	for left := 1 + g.Intn(2); left > 0; left-- {
		parts := []string{g.pick(sources), g.pick([]string{"/x", "/", "x", ""}), g.pick(options)}
		binds.items = append(binds.items, str(strings.Join(parts[:1+g.Intn(3)], ":")))
	}
	host.set("Binds", binds)
	return true
}

// someMounts makes up mounts of all kinds.
func someMounts(g *generator, b *body, root *node) bool {
	host := g.hostOf(b, root)
	if host == nil {
		return false
	}
	was := g.density
	g.density = 50
	mounts := list()
	for left := 1 + g.Intn(2); left > 0; left-- {
		mounts.items = append(mounts.items, g.fillStruct(reflect.TypeOf(Mount{})))
	}
	g.density = was
	host.set("Mounts", mounts)
	return true
}

func changeRoot(g *generator, _ *body, root *node) bool {
	if g.chance(50) {
		whole := root.copy()
		*root = *list(whole)
	} else {
		*root = *g.junk(2)
	}
	return true
}

// ── Damage to the bytes ─────────────────────────────────────────────────────

var tails = []string{" ", "\n", "{}", "null", "x", "\x00", "]", "}", `{"HostConfig":{"Privileged":true}}`, "//", "\ufeff", ","}
var heads = []string{"\xef\xbb\xbf", "\xff\xfe", " ", "\x00", "\u00a0", "//\n", "{}", ")]}'\n"}
var pieces = []string{"{", "}", "[", "]", ",", ":", "\"", "\\", "/", "/**/", "\x00", "\x0b", "\u00a0", "\u2028", "'", "1", "-", "e", ".", "null", "true", "\xff", "\t", "\r"}

func (g *generator) damage(b *body) {
	b.plain = false
	b.how = append(b.how, "damage")
	for left := 1 + g.Intn(2); left > 0; left-- {
		at := g.Intn(len(b.bytes) + 1)
		switch g.Intn(7) {
		case 0:
			b.bytes = append(b.bytes, g.pick(tails)...)
		case 1:
			b.bytes = append([]byte(g.pick(heads)), b.bytes...)
		case 2:
			b.bytes = b.bytes[:at]
		case 3:
			if at < len(b.bytes) {
				b.bytes[at] ^= 1 << g.Intn(8)
			}
		case 4:
			b.bytes = append(b.bytes[:at:at], append([]byte(g.pick(pieces)), b.bytes[at:]...)...)
		case 5:
			if at < len(b.bytes) {
				b.bytes = append(b.bytes[:at:at], b.bytes[at+1:]...)
			}
		case 6:
			if at < len(b.bytes) {
				end := at + g.Intn(len(b.bytes)-at)
				b.bytes = append(b.bytes[:end:end], b.bytes[at:]...) // a piece twice
			}
		}
	}
}

// sortedNames is for messages.
func sortedNames(counts map[string]int) []string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
