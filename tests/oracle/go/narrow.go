// SPDX-License-Identifier: MIT

// What narrow.yaml allows, stated over what Go has read, and bodies close to it.
package main

import (
	"path"
	"strings"
)

const (
	memoryMost = 1 << 30
	cpusMost   = 2
	pidsMost   = 100
	filesMost  = 1024
)

func isBelow(source, folder string) bool {
	clean := path.Clean(source)
	return path.IsAbs(source) && (clean == folder || strings.HasPrefix(clean, folder+"/"))
}

func isNarrowImage(image string) bool {
	for _, prefix := range []string{"docker.io/", "index.docker.io/"} {
		image = strings.TrimPrefix(image, prefix)
	}
	if oneOf(strings.TrimPrefix(image, "library/"), "busybox", "busybox:latest") {
		return true
	}
	rest := strings.TrimPrefix(image, "registry.example.com/ci/")
	return rest != image && !strings.Contains(rest, "/")
}

func narrowConfig(config *Config) string {
	if config == nil {
		return "no Config"
	}
	for _, variable := range config.Env {
		if strings.HasPrefix(variable, "LD_") {
			return "Env"
		}
	}
	for name := range config.Labels {
		if strings.HasPrefix(name, "traefik.") {
			return "Labels"
		}
	}
	return first(
		labelsDanger(config.Labels),
		when(!isNarrowImage(config.Image), "Image"),
		when(config.User != "1000" && !strings.HasPrefix(config.User, "1000:"), "User"),
		when(len(config.Volumes) > 0, "Volumes"))
}

// The share of a processor. The Engine refuses NanoCpus beside the other two.
func narrowCPUs(resources *Resources, update bool) string {
	quota, period := resources.CPUQuota, resources.CPUPeriod
	if quota == 0 && period == 0 {
		none := resources.NanoCPUs == 0 && !update
		return when(none || resources.NanoCPUs < 0 || resources.NanoCPUs > cpusMost*1e9, "NanoCpus")
	}
	if period == 0 {
		if update {
			return "CpuQuota without CpuPeriod"
		}
		period = 100000
	}
	return when(quota <= 0 || period < 0 || float64(quota)/float64(period) > cpusMost, "CpuQuota")
}

func narrowLimits(resources *Resources, update bool) string {
	memory, swap, pids := resources.Memory, resources.MemorySwap, resources.PidsLimit
	return first(
		when(memory < 0 || memory > memoryMost || memory == 0 && !update, "Memory"),
		when(swap < 0 || swap > 2*memoryMost, "MemorySwap"),
		when(pids == nil && !update || pids != nil && (*pids < 1 || *pids > pidsMost), "PidsLimit"),
		narrowCPUs(resources, update))
}

// The names of limits are those of the kernel, whatever their case; the Engine sets all of a list.
func narrowUlimits(limits []*Ulimit) string {
	found := false
	for _, limit := range limits {
		if limit != nil && strings.ToUpper(limit.Name) == "NOFILE" {
			found = true
			if limit.Hard < 0 || limit.Hard > filesMost || limit.Soft < 0 || limit.Soft > filesMost {
				return "Ulimits"
			}
		}
	}
	return when(!found, "no Ulimits")
}

func narrowMount(mount *Mount) string {
	if mount.Type == "bind" {
		options := mount.BindOptions
		if path.Clean(mount.Source) != "/srv/ci" {
			return "Mounts, bind"
		}
		if !mount.ReadOnly || options != nil && options.ReadOnlyNonRecursive {
			return "Mounts, writable"
		}
		copied := *mount
		copied.Type = "tmpfs" // for what is said of all types
		return mountDanger(&copied)
	}
	if mount.VolumeOptions != nil {
		for name := range mount.VolumeOptions.Labels {
			if strings.HasPrefix(name, "traefik.") {
				return "Mounts, label"
			}
		}
	}
	return first(mountDanger(mount),
		when(mount.Type == "volume", "Mounts, volume"),
		when(mount.Type == "image" && !isNarrowImage(mount.Source), "Mounts, image"))
}

func narrowBind(bind string) string {
	parts := strings.Split(bind, ":")
	if len(parts) == 1 || path.Clean(parts[0]) != "/srv/ci" {
		return "Binds"
	}
	if !oneOf("ro", strings.Split(strings.Join(parts[2:], ","), ",")...) {
		return "Binds, writable"
	}
	parts[0] = "name" // for what is said of the options
	return bindDanger(strings.Join(parts, ":"))
}

func narrowHost(host *HostConfig) string {
	if host == nil {
		return "no HostConfig"
	}
	// The rest is as it is without exceptions.
	rest := *host
	rest.Binds, rest.Mounts, rest.CapAdd, rest.PortBindings, rest.Devices = nil, nil, nil, nil, nil
	reasons := []string{
		hostDanger(&rest),
		when(!oneOf(host.NetworkMode, "ci", "none"), "NetworkMode"),
		when(!oneOf(host.RestartPolicy.Name, "", "no", "on-failure"), "RestartPolicy"),
		narrowLimits(&host.Resources, false),
		narrowUlimits(host.Ulimits),
	}
	for _, bind := range host.Binds {
		reasons = append(reasons, narrowBind(bind))
	}
	for i := range host.Mounts {
		reasons = append(reasons, narrowMount(&host.Mounts[i]))
	}
	for _, name := range host.CapAdd {
		reasons = append(reasons, when(strings.TrimPrefix(strings.ToUpper(name), "CAP_") != "NET_ADMIN", "CapAdd"))
	}
	for _, bindings := range host.PortBindings {
		reasons = append(reasons, when(len(bindings) == 0, "PortBindings, empty"))
		for _, binding := range bindings {
			// An Engine takes what is no address for all addresses.
			reasons = append(reasons, when(binding.HostIP != "127.0.0.1", "PortBindings"))
		}
	}
	for _, device := range host.Devices {
		reasons = append(reasons, when(!isBelow(device.PathOnHost, "/dev/fuse"), "Devices"))
	}
	return first(reasons...)
}

func narrowNetworking(networking *NetworkingConfig) string {
	if networking == nil {
		return ""
	}
	for name, endpoint := range networking.EndpointsConfig {
		if reason := first(when(!oneOf(name, "ci", "none"), "EndpointsConfig"), narrowEndpoint(endpoint)); reason != "" {
			return reason
		}
	}
	return ""
}

func narrowEndpoint(endpoint *EndpointSettings) string {
	return first(endpointDanger(endpoint),
		when(endpoint != nil && !oneOf(endpoint.NetworkID, "", "ci", "none"), "NetworkID"))
}

func narrowExec(exec *Exec) string {
	for _, variable := range exec.Env {
		if strings.SplitN(variable, "=", 2)[0] != "A" {
			return "Env"
		}
	}
	return first(
		when(exec.Privileged, "Privileged"),
		when(exec.User != "1000", "User"),
		when(len(exec.Cmd) > 0 && exec.Cmd[0] != "ls", "Cmd"),
		when(exec.WorkingDir != "" && !isBelow(exec.WorkingDir, "/data"), "WorkingDir"))
}

func narrowDanger(into interface{}) string {
	switch read := into.(type) {
	case *OldCreate:
		return first(narrowConfig(read.Config), narrowHost(read.host()), narrowNetworking(read.NetworkingConfig))
	case *Create:
		return first(narrowConfig(read.Config), narrowHost(read.HostConfig), narrowNetworking(read.NetworkingConfig))
	case *Update:
		rest := read.Resources
		rest.Devices = nil // an update changes none
		return first(resourcesDanger(&rest), narrowLimits(&read.Resources, true),
			when(!oneOf(read.RestartPolicy.Name, "", "no", "on-failure"), "RestartPolicy"))
	case *Exec:
		return narrowExec(read)
	case *Connect:
		return narrowEndpoint(read.EndpointConfig)
	case *Volume:
		return "a volume"
	case *Network:
		return networkDanger(read)
	case *Service:
		return narrowService(read)
	}
	panic("no such body")
}

// Fields that must be there.
var narrowNeeds = []string{"Config.Image", "Config.User", "Create.HostConfig", "HostConfig.NetworkMode", "Resources.Memory",
	"Resources.PidsLimit", "Resources.NanoCpus", "Resources.CpuQuota", "Resources.CpuPeriod", "Resources.Ulimits", "Exec.User"}

var narrowSamples = map[string]sample{
	"Config.Image": {[]string{`"busybox"`, `"busybox:latest"`, `"docker.io/library/busybox"`, `"registry.example.com/ci/tool:1"`},
		[]string{`"alpine"`, `""`, `"busybox:1.36"`, `"registry.example.com/other/x"`, `"registry.example.com/ci/a/b"`, `null`, `"busybox/busybox"`, `"library/library/busybox"`}},
	"Config.User":    {[]string{`"1000"`, `"1000:1000"`}, []string{`""`, `"0"`, `"root"`, `"10000"`, `"1000 "`, `null`}},
	"Config.Env":     {[]string{`null`, `["A=b"]`, `["XLD_=1","A"]`}, []string{`["LD_PRELOAD=/x"]`, `["A=b","LD_X"]`}},
	"Config.Labels":  {[]string{`null`, `{}`, `{"a":"b"}`}, []string{`{"traefik.enable":"true"}`, `{"docker-socket-proxy.owner":"x"}`}},
	"Config.Volumes": {[]string{`null`, `{}`}, []string{`{"/data":{}}`}},
	"HostConfig.Binds": {[]string{`null`, `[]`, `["/srv/ci:/x:ro"]`, `["/srv/ci/:/x:z,ro"]`},
		[]string{`["/srv/ci:/x"]`, `["/srv/ci:/x:rw"]`, `["/srv/ci/a/b/:/x:ro,z"]`, `["/srv/ci:/ro:z"]`, `["/srv/cix:/x"]`, `["/srv/ci/../x:/x"]`, `["/srv:/x"]`, `["data:/d"]`, `["/data"]`, `["/srv/ci:/x","/:/y"]`, `["/srv/ci:/x:rshared"]`, `["/srv/ci/a/../../../etc:/x"]`}},
	"HostConfig.Mounts": {[]string{`null`, `[]`, `[{"Type":"bind","Source":"/srv/ci","Target":"/x","ReadOnly":true}]`, `[{"Type":"tmpfs","Target":"/t"}]`, `[{"Type":"image","Source":"busybox","Target":"/i"}]`},
		[]string{`[{"Type":"bind","Source":"/srv/ci/..","Target":"/x"}]`, `[{"Type":"bind","Source":"/srv/ci","Target":"/x"}]`, `[{"Type":"bind","Source":"/srv/ci/x","Target":"/x","ReadOnly":true}]`,
			`[{"Type":"bind","Source":"/srv/ci","Target":"/x","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}}]`, `[{"Type":"volume","Target":"/x"}]`, `[{"Type":"bind","Target":"/x"}]`, `[{"Type":"image","Source":"alpine","Target":"/i"}]`,
			`[{"Type":"bind","Source":"/srv/ci","Target":"/x","BindOptions":{"Propagation":"shared"}}]`, `[{"Type":"bind","Source":"/srv/ci","Target":"/x"},{"Type":"bind","Source":"/","Target":"/y"}]`}},
	"HostConfig.NetworkMode":           {[]string{`"ci"`, `"none"`}, []string{`""`, `null`, `"bridge"`, `"default"`, `"host"`, `"CI"`, `"cix"`, `"ci "`}},
	"NetworkingConfig.EndpointsConfig": {[]string{`null`, `{}`, `{"ci":{}}`, `{"ci":null}`, `{"ci":{"Aliases":["a"],"NetworkID":"","DriverOpts":null}}`}, []string{`{"bridge":{}}`, `{"ci":null,"other":null}`, `{"ci":{"NetworkID":"bridge"}}`, `{"":{}}`}},
	"HostConfig.CapAdd":                {[]string{`null`, `[]`, `["NET_ADMIN"]`, `["cap_net_admin"]`}, []string{`["NET_RAW"]`, `["ALL"]`, `["NET_ADMIN","SYS_ADMIN"]`, `["CAP_CAP_NET_ADMIN"]`}},
	"Resources.Devices":                {[]string{`null`, `[]`, `[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/fuse","CgroupPermissions":"rwm"}]`}, []string{`[{"PathOnHost":"/dev/sda"}]`, `[{"PathOnHost":"/dev/fuse"},{}]`, `[{"PathOnHost":"/dev/fuse/../sda"}]`}},
	"HostConfig.PortBindings": {[]string{`null`, `{}`, `{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}`, `{"80/tcp":[{"HostIp":"127.0.0.1"}]}`},
		[]string{`{"80/tcp":[{"HostPort":"80"}]}`, `{"80/tcp":null}`, `{"80/tcp":[{"HostIp":"127.0.0.1"}],"81":[]}`, `{"80/tcp":[{"HostIp":"::ffff:127.0.0.2"}]}`, `{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"}]}`, `{"80/tcp":[{"HostIp":"127.0.0.1:x","HostPort":"80"}]}`, `{"80/tcp":[{"HostIp":"127.0.0.1"},null]}`, `{"80/tcp":[{"HostIp":"127.0.0.1:","HostPort":"80"}]}`}},
	"HostConfig.RestartPolicy": {[]string{`null`, `{}`, `{"Name":"no"}`, `{"Name":"on-failure","MaximumRetryCount":3}`}, []string{`{"Name":"always"}`, `{"Name":"unless-stopped"}`, `{"Name":"No"}`}},
	"Update.RestartPolicy":     {[]string{`null`, `{}`, `{"Name":"no"}`}, []string{`{"Name":"always"}`}},
	"Resources.Memory":         {[]string{`1073741824`, `6291456`}, []string{`0`, `-1`, `1073741825`, `null`, `9223372036854775807`, `-0`}},
	"Resources.MemorySwap":     {[]string{`0`, `2147483648`}, []string{`-1`, `2147483649`}},
	"Resources.PidsLimit":      {[]string{`100`, `1`}, []string{`0`, `-1`, `101`, `null`}},
	"Resources.NanoCpus":       {[]string{`2000000000`, `1`}, []string{`0`, `2000000001`, `-1`, `null`}},
	"Resources.CpuQuota":       {[]string{`0`}, []string{`300000`, `-1`, `9223372036854775807`, `200000`, `200001`}},
	"Resources.CpuPeriod":      {[]string{`0`}, []string{`1000`, `-1`, `1`, `9223372036854775807`}},
	"Resources.Ulimits": {[]string{`[{"Name":"nofile","Hard":1024,"Soft":1024}]`, `[{"Name":"nofile","Hard":10},{"Name":"core","Hard":-1,"Soft":-1}]`},
		[]string{`[]`, `null`, `[null]`, `[{"Name":"nofile","Hard":2048,"Soft":1}]`, `[{"Name":"nofile","Hard":-1,"Soft":-1}]`, `[{"Name":"NOFILE","Hard":9999,"Soft":1}]`, `[{"Name":"nofile","Hard":1024},{"Name":"NoFile","Hard":4096}]`,
			`[{"Name":"nofile","Hard":4096},{"Name":"nofile","Hard":1}]`, `[{"Name":"core","Hard":1}]`, `[{"Name":"nofile","Hard":1},{"Name":"nof\u0131le","Hard":9999}]`}},
	"Exec.User":                  {[]string{`"1000"`}, []string{`""`, `"0"`, `"1000:0"`, `null`}},
	"Exec.Cmd":                   {[]string{`["ls"]`, `["ls","-l","/"]`}, []string{`["sh","-c","ls"]`, `["ls -l"]`, `["LS"]`, `["","ls"]`}},
	"Exec.WorkingDir":            {[]string{`""`, `"/data"`, `"/data/x/"`}, []string{`"/"`, `"/data/../etc"`, `"/database"`, `"data"`}},
	"Exec.Env":                   {[]string{`null`, `[]`, `["A=1"]`, `["A"]`}, []string{`["B=1"]`, `["A1=x"]`, `[""]`, `["A=1",null]`, `["a=1"]`}},
	"EndpointSettings.NetworkID": {[]string{`""`, `"ci"`}, []string{`"host"`, `"bridge"`, `"other"`}},
}
