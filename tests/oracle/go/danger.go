// SPDX-License-Identifier: MIT

// What a policy without exceptions must never let through, stated over what Go has read. None of
// it is taken from the tables of the proxy.
package main

import (
	"regexp"
	"strings"
)

// A reading is one way in which an Engine reads the body of an operation.
type reading struct {
	name   string
	blank  func() interface{}
	danger func(body interface{}) string
}

// operation is one kind of body; its letter is the judge's.
type operation struct {
	letter   byte
	share    int // of the generated bodies, in percent
	readings []reading
}

var operations = []operation{
	{'C', 62, []reading{
		{"before 27", func() interface{} { return new(OldCreate) }, func(body interface{}) string {
			create := body.(*OldCreate)
			return first(configDanger(create.Config), hostDanger(create.host()),
				networkingDanger(create.NetworkingConfig))
		}},
		{"since 27", func() interface{} { return new(Create) }, func(body interface{}) string {
			create := body.(*Create)
			return first(configDanger(create.Config), hostDanger(create.HostConfig),
				networkingDanger(create.NetworkingConfig))
		}},
	}},
	{'U', 6, []reading{{"update", func() interface{} { return new(Update) }, func(body interface{}) string {
		return resourcesDanger(&body.(*Update).Resources)
	}}}},
	{'E', 6, []reading{{"exec", func() interface{} { return new(Exec) }, func(body interface{}) string {
		return when(body.(*Exec).Privileged, "Privileged")
	}}}},
	{'V', 6, []reading{{"volume", func() interface{} { return new(Volume) }, func(body interface{}) string {
		return volumeDanger(body.(*Volume))
	}}}},
	{'N', 6, []reading{{"network", func() interface{} { return new(Network) }, func(body interface{}) string {
		return networkDanger(body.(*Network))
	}}}},
	{'J', 6, []reading{{"connect", func() interface{} { return new(Connect) }, func(body interface{}) string {
		return endpointDanger(body.(*Connect).EndpointConfig)
	}}}},
	{'S', 8, []reading{{"service", func() interface{} { return new(Service) }, func(body interface{}) string {
		return serviceDanger(body.(*Service))
	}}}},
}

func when(dangerous bool, reason string) string {
	if dangerous {
		return reason
	}
	return ""
}

func first(reasons ...string) string {
	for _, reason := range reasons {
		if reason != "" {
			return reason
		}
	}
	return ""
}

func oneOf(word string, fine ...string) bool {
	for _, one := range fine {
		if word == one {
			return true
		}
	}
	return false
}

// The proxy's own labels say whose an object is.
func labelsDanger(labels map[string]string) string {
	for name := range labels {
		if strings.HasPrefix(name, "docker-socket-proxy.") {
			return "Labels"
		}
	}
	return ""
}

func configDanger(config *Config) string {
	if config == nil {
		return ""
	}
	for target := range config.Volumes { // podman takes it for the words of -v
		if strings.ContainsAny(target, ",:") {
			return "Volumes"
		}
	}
	return labelsDanger(config.Labels)
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func bindDanger(bind string) string {
	parts := strings.Split(bind, ":")
	if len(parts) == 1 {
		return "" // a volume without a name
	}
	if !volumeName.MatchString(parts[0]) {
		return "Binds"
	}
	for _, option := range strings.Split(strings.Join(parts[2:], ","), ",") {
		if oneOf(option, "shared", "rshared", "slave", "rslave") {
			return "Binds, propagation"
		}
	}
	return ""
}

func tmpfsDanger(options string) string {
	for _, option := range strings.Split(options, ",") {
		if oneOf(strings.TrimSpace(option), "suid", "dev", "shared", "rshared", "bind", "rbind") {
			return "Tmpfs"
		}
	}
	return ""
}

func mountDanger(mount *Mount) string {
	if !oneOf(mount.Type, "volume", "image", "tmpfs") {
		return "Mounts, type " + mount.Type
	}
	if mount.Type == "volume" && mount.Source != "" && !volumeName.MatchString(mount.Source) {
		return "Mounts, source"
	}
	if bind := mount.BindOptions; bind != nil && !oneOf(bind.Propagation, "", "private", "rprivate") {
		return "Mounts, propagation"
	}
	if volume := mount.VolumeOptions; volume != nil {
		if driver := volume.DriverConfig; driver != nil &&
			(!oneOf(driver.Name, "", "local") || len(driver.Options) > 0) {
			return "Mounts, driver"
		}
		if reason := labelsDanger(volume.Labels); reason != "" {
			return reason
		}
	}
	if tmpfs := mount.TmpfsOptions; tmpfs != nil {
		for _, option := range tmpfs.Options {
			if reason := tmpfsDanger(strings.Join(option, "=")); reason != "" {
				return reason
			}
			for _, part := range option {
				if reason := tmpfsDanger(part); reason != "" {
					return reason
				}
			}
		}
	}
	return ""
}

func logDanger(log *LogConfig) string {
	if !oneOf(log.Type, "", "json-file", "local") {
		return "LogConfig, type"
	}
	for name := range log.Config {
		if !oneOf(name, "max-size", "max-file", "max-buffer-size", "compress", "mode", "tag", "labels",
			"labels-regex", "env", "env-regex") {
			return "LogConfig, option"
		}
	}
	return ""
}

// limitsDanger says which limit lets processes go before those of the host, or is none.
func limitsDanger(limits []*Ulimit) string {
	for _, limit := range limits {
		if limit != nil && !oneOf(strings.ToLower(limit.Name), "", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue",
			"nofile", "nproc", "rss", "sigpending", "stack") {
			return "Ulimits"
		}
	}
	return ""
}

// throttledDanger says whether a path is one at which the Engine would look as root, and no device's.
func throttledDanger(path string) string {
	return when(path != "" && (!strings.HasPrefix(path, "/dev/") || strings.Contains(path+"/", "/../")), "throttled device")
}

func blkioDanger(resources *Resources) string {
	for _, device := range resources.BlkioWeightDevice {
		if device != nil && throttledDanger(device.Path) != "" {
			return "BlkioWeightDevice"
		}
	}
	for _, list := range [][]*ThrottleDevice{resources.BlkioDeviceReadBps, resources.BlkioDeviceWriteBps,
		resources.BlkioDeviceReadIOps, resources.BlkioDeviceWriteIOps} {
		for _, device := range list {
			if device != nil && throttledDanger(device.Path) != "" {
				return "BlkioDevice"
			}
		}
	}
	return ""
}

func resourcesDanger(resources *Resources) string {
	return first(
		limitsDanger(resources.Ulimits),
		blkioDanger(resources),
		when(resources.CgroupParent != "", "CgroupParent"),
		when(len(resources.Devices) > 0, "Devices"),
		when(len(resources.DeviceCgroupRules) > 0, "DeviceCgroupRules"),
		when(len(resources.DeviceRequests) > 0, "DeviceRequests"),
		when(resources.CPURealtimePeriod != 0 || resources.CPURealtimeRuntime != 0, "CpuRealtime"),
		when(resources.OomKillDisable != nil && *resources.OomKillDisable, "OomKillDisable"))
}

func isHostNetwork(name string) bool {
	return name == "host" || strings.HasPrefix(name, "container:") || strings.HasPrefix(name, "ns:")
}

func listsDanger(host *HostConfig) string {
	for _, bind := range host.Binds {
		if reason := bindDanger(bind); reason != "" {
			return reason
		}
	}
	for i := range host.Mounts {
		if reason := mountDanger(&host.Mounts[i]); reason != "" {
			return reason
		}
	}
	for _, option := range host.SecurityOpt {
		if !oneOf(option, "no-new-privileges", "no-new-privileges=true", "no-new-privileges:true") {
			return "SecurityOpt"
		}
	}
	// Engines publish a port whose list is empty too.
	if len(host.PortBindings) > 0 {
		return "PortBindings"
	}
	for name := range host.StorageOpt {
		if name != "size" {
			return "StorageOpt"
		}
	}
	for _, options := range host.Tmpfs {
		if reason := tmpfsDanger(options); reason != "" {
			return reason
		}
	}
	return ""
}

func hostDanger(host *HostConfig) string {
	if host == nil {
		return ""
	}
	return first(
		when(host.Privileged, "Privileged"),
		when(len(host.VolumesFrom) > 0, "VolumesFrom"),
		when(!oneOf(host.VolumeDriver, "", "local"), "VolumeDriver"),
		when(len(host.CapAdd) > 0, "CapAdd"),
		when(isHostNetwork(host.NetworkMode), "NetworkMode"),
		when(!oneOf(host.PidMode, "", "private"), "PidMode"),
		when(!oneOf(host.IpcMode, "", "private", "none"), "IpcMode"),
		when(!oneOf(host.UTSMode, "", "private"), "UTSMode"),
		when(!oneOf(host.UsernsMode, "", "private"), "UsernsMode"),
		when(!oneOf(host.CgroupnsMode, "", "private"), "CgroupnsMode"),
		when(host.Cgroup != "", "Cgroup"),
		when(len(host.Sysctls) > 0, "Sysctls"),
		when(host.Runtime != "", "Runtime"),
		when(host.MaskedPaths != nil, "MaskedPaths"),
		when(host.ReadonlyPaths != nil, "ReadonlyPaths"),
		when(host.OomScoreAdj < 0, "OomScoreAdj"),
		when(len(host.Annotations) > 0, "Annotations"),
		when(host.PublishAllPorts, "PublishAllPorts"),
		when(len(host.Links) > 0, "Links"),
		when(len(host.GroupAdd) > 0, "GroupAdd"),
		logDanger(&host.LogConfig),
		resourcesDanger(&host.Resources),
		listsDanger(host))
}

func endpointDanger(endpoint *EndpointSettings) string {
	if endpoint == nil {
		return ""
	}
	return first(
		when(len(endpoint.DriverOpts) > 0, "endpoint, DriverOpts"),
		when(len(endpoint.Links) > 0, "endpoint, Links"),
		when(isHostNetwork(endpoint.NetworkID), "endpoint, NetworkID"))
}

func networkingDanger(networking *NetworkingConfig) string {
	if networking == nil {
		return ""
	}
	for name, endpoint := range networking.EndpointsConfig {
		if isHostNetwork(name) {
			return "endpoint of the host"
		}
		if reason := endpointDanger(endpoint); reason != "" {
			return reason
		}
	}
	return ""
}

func volumeDanger(volume *Volume) string {
	return first(
		when(!oneOf(volume.Driver, "", "local"), "Driver"),
		when(len(volume.DriverOpts) > 0, "DriverOpts"),
		when(volume.ClusterVolumeSpec != nil, "ClusterVolumeSpec"),
		labelsDanger(volume.Labels))
}

func networkDanger(network *Network) string {
	ipam := network.IPAM
	for i := 0; ipam != nil && i < len(ipam.Config); i++ {
		if ipam.Config[i].Subnet != "" {
			return "IPAM, Subnet"
		}
	}
	return first(
		when(!oneOf(network.Driver, "", "bridge"), "Driver"),
		when(!oneOf(network.Scope, "", "local"), "Scope"),
		when(len(network.Options) > 0, "Options"),
		when(network.Ingress || network.ConfigOnly, "Ingress, ConfigOnly"),
		when(network.ConfigFrom != nil && network.ConfigFrom.Network != "", "ConfigFrom"),
		when(ipam != nil && !oneOf(ipam.Driver, "", "default"), "IPAM, Driver"),
		when(ipam != nil && len(ipam.Options) > 0, "IPAM, Options"),
		labelsDanger(network.Labels))
}
