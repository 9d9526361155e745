// SPDX-License-Identifier: MIT

// Services of a swarm: the body of POST /services/create as the Engine declares it, and what
// policies must not let through.
package main

import (
	"reflect"
	"regexp"
	"strings"
	"time"
)

type Service struct {
	Name           string
	Labels         map[string]string
	TaskTemplate   TaskSpec
	Mode           ServiceMode
	UpdateConfig   *UpdateConfig             `json:",omitempty"`
	RollbackConfig *UpdateConfig             `json:",omitempty"`
	Networks       []NetworkAttachmentConfig `json:",omitempty"`
	EndpointSpec   *EndpointSpec             `json:",omitempty"`
}

type ServiceMode struct {
	Replicated    *ReplicatedService `json:",omitempty"`
	Global        *struct{}          `json:",omitempty"`
	ReplicatedJob *ReplicatedJob     `json:",omitempty"`
	GlobalJob     *struct{}          `json:",omitempty"`
}

type ReplicatedService struct {
	Replicas *uint64 `json:",omitempty"`
}

type ReplicatedJob struct {
	MaxConcurrent    *uint64 `json:",omitempty"`
	TotalCompletions *uint64 `json:",omitempty"`
}

type UpdateConfig struct {
	Parallelism     uint64
	Delay           time.Duration `json:",omitempty"`
	FailureAction   string        `json:",omitempty"`
	Monitor         time.Duration `json:",omitempty"`
	MaxFailureRatio float32
	Order           string
}

type NetworkAttachmentConfig struct {
	Target     string            `json:",omitempty"`
	Aliases    []string          `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
}

type EndpointSpec struct {
	Mode  string       `json:",omitempty"`
	Ports []PortConfig `json:",omitempty"`
}

type PortConfig struct {
	Name          string `json:",omitempty"`
	Protocol      string `json:",omitempty"`
	TargetPort    uint32 `json:",omitempty"`
	PublishedPort uint32 `json:",omitempty"`
	PublishMode   string `json:",omitempty"`
}

type TaskSpec struct {
	ContainerSpec *ContainerSpec            `json:",omitempty"`
	PluginSpec    *PluginSpec               `json:",omitempty"`
	Resources     *ResourceRequirements     `json:",omitempty"`
	RestartPolicy *TaskRestart              `json:",omitempty"`
	Placement     *Placement                `json:",omitempty"`
	Networks      []NetworkAttachmentConfig `json:",omitempty"`
	LogDriver     *TaskLog                  `json:",omitempty"`
	ForceUpdate   uint64
	Runtime       string `json:",omitempty"`
}

type PluginSpec struct {
	Remote string `json:",omitempty"`
}

type ResourceRequirements struct {
	Limits       *Limit        `json:",omitempty"`
	Reservations *Reservations `json:",omitempty"`
}

type Limit struct {
	NanoCPUs    int64 `json:",omitempty"`
	MemoryBytes int64 `json:",omitempty"`
	Pids        int64 `json:",omitempty"`
}

type Reservations struct {
	NanoCPUs         int64             `json:",omitempty"`
	MemoryBytes      int64             `json:",omitempty"`
	GenericResources []GenericResource `json:",omitempty"`
}

type GenericResource struct {
	DiscreteResourceSpec *struct {
		Kind  string
		Value int64
	} `json:",omitempty"`
}

type TaskRestart struct {
	Condition   string         `json:",omitempty"`
	Delay       *time.Duration `json:",omitempty"`
	MaxAttempts *uint64        `json:",omitempty"`
	Window      *time.Duration `json:",omitempty"`
}

type Placement struct {
	Constraints []string `json:",omitempty"`
	MaxReplicas uint64   `json:",omitempty"`
}

type TaskLog struct {
	Name    string            `json:",omitempty"`
	Options map[string]string `json:",omitempty"`
}

type ContainerSpec struct {
	Image           string            `json:",omitempty"`
	Labels          map[string]string `json:",omitempty"`
	Command         []string          `json:",omitempty"`
	Args            []string          `json:",omitempty"`
	Hostname        string            `json:",omitempty"`
	Env             []string          `json:",omitempty"`
	Dir             string            `json:",omitempty"`
	User            string            `json:",omitempty"`
	Groups          []string          `json:",omitempty"`
	Privileges      *Privileges       `json:",omitempty"`
	Init            *bool             `json:",omitempty"`
	StopSignal      string            `json:",omitempty"`
	TTY             bool              `json:",omitempty"`
	OpenStdin       bool              `json:",omitempty"`
	ReadOnly        bool              `json:",omitempty"`
	Mounts          []Mount           `json:",omitempty"`
	StopGracePeriod *time.Duration    `json:",omitempty"`
	Healthcheck     *HealthConfig     `json:",omitempty"`
	Hosts           []string          `json:",omitempty"`
	DNSConfig       *DNSConfig        `json:",omitempty"`
	Secrets         []*SecretReference
	Configs         []*ConfigReferenceOfTask
	Isolation       string            `json:",omitempty"`
	Sysctls         map[string]string `json:",omitempty"`
	CapabilityAdd   []string          `json:",omitempty"`
	CapabilityDrop  []string          `json:",omitempty"`
	Ulimits         []*Ulimit         `json:",omitempty"`
	OomScoreAdj     int64             `json:",omitempty"`
}

type DNSConfig struct {
	Nameservers []string `json:",omitempty"`
	Search      []string `json:",omitempty"`
	Options     []string `json:",omitempty"`
}

type Privileges struct {
	CredentialSpec  *CredentialSpec
	SELinuxContext  *SELinuxContext
	Seccomp         *SeccompOpts  `json:",omitempty"`
	AppArmor        *AppArmorOpts `json:",omitempty"`
	NoNewPrivileges bool
}

type CredentialSpec struct {
	File string
}

type SELinuxContext struct {
	Disable bool
	User    string
	Role    string
	Type    string
	Level   string
}

type SeccompOpts struct {
	Mode    string `json:",omitempty"`
	Profile []byte `json:",omitempty"`
}

type AppArmorOpts struct {
	Mode string `json:",omitempty"`
}

type SecretReference struct {
	SecretID   string
	SecretName string
}

type ConfigReferenceOfTask struct {
	ConfigID   string
	ConfigName string
}

// ── What must not pass ──────────────────────────────────────────────────────

// A swarm takes the beginning of an id of the host's network for it.
var beginningOfID = regexp.MustCompile(`^[0-9a-z]+$`)

func attachmentsDanger(attachments []NetworkAttachmentConfig) string {
	for _, one := range attachments {
		id := beginningOfID.MatchString(one.Target) && !oneOf(one.Target, "bridge", "none")
		if isHostNetwork(one.Target) || id || len(one.DriverOpts) > 0 {
			return "Networks"
		}
	}
	return ""
}

func privilegesDanger(privileges *Privileges) string {
	if privileges == nil {
		return ""
	}
	context, seccomp, apparmor := privileges.SELinuxContext, privileges.Seccomp, privileges.AppArmor
	return first(
		when(privileges.CredentialSpec != nil, "CredentialSpec"),
		when(context != nil && *context != SELinuxContext{}, "SELinuxContext"),
		when(seccomp != nil && !oneOf(seccomp.Mode, "", "default"), "Seccomp"),
		when(apparmor != nil && !oneOf(apparmor.Mode, "", "default"), "AppArmor"))
}

func specDanger(spec *ContainerSpec) string {
	if spec == nil {
		return ""
	}
	for i := range spec.Mounts {
		if reason := mountDanger(&spec.Mounts[i]); reason != "" {
			return reason
		}
	}
	return first(
		labelsDanger(spec.Labels),
		privilegesDanger(spec.Privileges),
		when(len(spec.Groups) > 0, "Groups"),
		when(len(spec.Sysctls) > 0, "Sysctls"),
		when(len(spec.CapabilityAdd) > 0, "CapabilityAdd"),
		when(spec.OomScoreAdj < 0, "OomScoreAdj"),
		limitsDanger(spec.Ulimits),
		when(len(spec.Secrets) > 0, "Secrets"),
		when(len(spec.Configs) > 0, "Configs"))
}

func serviceDanger(service *Service) string {
	task := &service.TaskTemplate
	resources, log, endpoint := task.Resources, task.LogDriver, service.EndpointSpec
	reserved := resources != nil && resources.Reservations != nil &&
		len(resources.Reservations.GenericResources) > 0
	return first(
		labelsDanger(service.Labels),
		specDanger(task.ContainerSpec),
		attachmentsDanger(task.Networks),
		attachmentsDanger(service.Networks),
		when(task.PluginSpec != nil || !oneOf(task.Runtime, "", "container"), "Runtime"),
		when(reserved, "GenericResources"),
		when(endpoint != nil && len(endpoint.Ports) > 0, "Ports"),
		when(log != nil && logDanger(&LogConfig{Type: log.Name, Config: log.Options}) != "", "LogDriver"))
}

func narrowAttachments(attachments []NetworkAttachmentConfig) string {
	for _, one := range attachments {
		if one.Target != "ci" || len(one.DriverOpts) > 0 {
			return "Networks"
		}
	}
	return ""
}

func narrowService(service *Service) string {
	task := &service.TaskTemplate
	spec := task.ContainerSpec
	if spec == nil || task.Resources == nil || task.Resources.Limits == nil {
		return "no limits"
	}
	limits := task.Resources.Limits
	// The rest is as it is without exceptions.
	open, rest := *spec, *service
	open.Mounts, open.CapabilityAdd = nil, nil
	rest.TaskTemplate.ContainerSpec = &open
	rest.Networks, rest.TaskTemplate.Networks = nil, nil
	labels := map[string]string{}
	for name, value := range service.Labels {
		labels[name] = value
	}
	for name, value := range spec.Labels {
		labels[name] = value
	}
	reasons := []string{
		serviceDanger(&rest),
		narrowConfig(&Config{Image: spec.Image, User: spec.User, Env: spec.Env, Labels: labels}),
		narrowUlimits(spec.Ulimits),
		when(limits.MemoryBytes < 1 || limits.MemoryBytes > memoryMost, "MemoryBytes"),
		when(limits.NanoCPUs < 1 || limits.NanoCPUs > cpusMost*1e9, "NanoCPUs"),
		when(limits.Pids < 1 || limits.Pids > pidsMost, "Pids"),
		when(task.RestartPolicy == nil || !oneOf(task.RestartPolicy.Condition, "none", "on-failure"), "RestartPolicy"),
		when(len(task.Networks) == 0 && len(service.Networks) == 0, "no Networks"),
		narrowAttachments(task.Networks), narrowAttachments(service.Networks),
	}
	for i := range spec.Mounts {
		reasons = append(reasons, narrowMount(&spec.Mounts[i]))
	}
	for _, name := range spec.CapabilityAdd {
		reasons = append(reasons, when(strings.TrimPrefix(strings.ToUpper(name), "CAP_") != "NET_ADMIN", "CapabilityAdd"))
	}
	return first(reasons...)
}

// ── Values ──────────────────────────────────────────────────────────────────

// Where the fields of a type stand in the body.
var servicePlaces = map[string]reflect.Type{
	"TaskTemplate":                                         reflect.TypeOf(TaskSpec{}),
	"TaskTemplate/ContainerSpec":                           reflect.TypeOf(ContainerSpec{}),
	"TaskTemplate/ContainerSpec/Privileges":                reflect.TypeOf(Privileges{}),
	"TaskTemplate/ContainerSpec/Privileges/SELinuxContext": reflect.TypeOf(SELinuxContext{}),
	"TaskTemplate/ContainerSpec/Privileges/Seccomp":        reflect.TypeOf(SeccompOpts{}),
	"TaskTemplate/ContainerSpec/Privileges/AppArmor":       reflect.TypeOf(AppArmorOpts{}),
	"TaskTemplate/Resources/Limits":                        reflect.TypeOf(Limit{}),
	"TaskTemplate/Resources/Reservations":                  reflect.TypeOf(Reservations{}),
	"TaskTemplate/RestartPolicy":                           reflect.TypeOf(TaskRestart{}),
	"EndpointSpec":                                         reflect.TypeOf(EndpointSpec{}),
}

func init() {
	for name, values := range map[string]sample{
		"Service.Labels":                     samples["Volume.Labels"],
		"Service.Networks":                   {[]string{`null`, `[]`, `[{"Target":"ci-net","Aliases":["db"]}]`}, []string{`[{"Target":"host"}]`, `[{"Target":"ci-net"},{"target":"container:web"}]`, `[null]`}},
		"TaskSpec.Networks":                  {[]string{`null`, `[{"Target":"ci-net"},{"Target":"ci-net","DriverOpts":{}}]`}, []string{`[{"Target":"host"}]`, `[{"Target":"72e090534222"}]`, `[{"Target":"ci-net","DriverOpts":{"a":"b"}}]`}},
		"TaskSpec.Runtime":                   {[]string{`""`, `"container"`}, []string{`"plugin"`, `"attachment"`, `"Container"`}},
		"TaskSpec.PluginSpec":                {[]string{`null`}, []string{`{}`, `{"Remote":"a/b"}`}},
		"TaskSpec.LogDriver":                 {[]string{`null`, `{}`, `{"Name":"json-file","Options":{"max-size":"1m"}}`}, []string{`{"Name":"syslog"}`, `{"Options":{"gelf-address":"udp://192.0.2.1"}}`}},
		"Reservations.GenericResources":      {closedList, []string{`[{"DiscreteResourceSpec":{"Kind":"gpu","Value":1}}]`, `[{}]`}},
		"EndpointSpec.Ports":                 {closedList, []string{`[{"TargetPort":80}]`, `[{"PublishedPort":8080,"PublishMode":"host"}]`, `[{}]`, `[null]`}},
		"UpdateConfig.MaxFailureRatio":       {[]string{`0`, `0.25`, `1e-1`}, nil},
		"ContainerSpec.Labels":               samples["Volume.Labels"],
		"ContainerSpec.Groups":               {closedList, []string{`["27"]`, `[""]`}},
		"ContainerSpec.Sysctls":              samples["HostConfig.Sysctls"],
		"ContainerSpec.CapabilityAdd":        {closedList, []string{`["SYS_ADMIN"]`, `["all"]`, `[""]`, `[null]`}},
		"ContainerSpec.OomScoreAdj":          samples["HostConfig.OomScoreAdj"],
		"ContainerSpec.Mounts":               samples["HostConfig.Mounts"],
		"ContainerSpec.Secrets":              {closedList, []string{`[{"SecretID":"x","SecretName":"db"}]`, `[{}]`}},
		"ContainerSpec.Configs":              {closedList, []string{`[{"ConfigID":"x","ConfigName":"db"}]`, `[{}]`}},
		"Privileges.CredentialSpec":          {[]string{`null`}, []string{`{}`, `{"File":"a"}`}},
		"SELinuxContext.Disable":             only(`false`, `true`),
		"SELinuxContext.User":                {closedText, []string{`"u"`}},
		"SELinuxContext.Role":                {closedText, []string{`"r"`}},
		"SELinuxContext.Type":                {closedText, []string{`"spc_t"`}},
		"SELinuxContext.Level":               {closedText, []string{`"s0"`}},
		"SeccompOpts.Mode":                   {[]string{`""`, `"default"`}, []string{`"unconfined"`, `"custom"`, `"Default"`}},
		"SeccompOpts.Profile":                {[]string{`null`, `""`, `"e30="`}, nil},
		"AppArmorOpts.Mode":                  {[]string{`""`, `"default"`}, []string{`"disabled"`}},
		"NetworkAttachmentConfig.Target":     {[]string{`"ci-net"`}, []string{`"host"`, `"container:web"`}},
		"NetworkAttachmentConfig.DriverOpts": {closedMap, []string{`{"a":"b"}`}},
	} {
		samples[name] = values
	}
	for name, values := range map[string]sample{
		"Service.Labels":              narrowSamples["Config.Labels"],
		"Service.Networks":            {[]string{`null`, `[]`, `[{"Target":"ci"}]`}, []string{`[{"Target":"bridge"}]`, `[{}]`, `[{"Target":"ci"},{"Target":"CI"}]`}},
		"TaskSpec.Networks":           {[]string{`[{"Target":"ci"}]`}, []string{`[{"Target":"other"}]`, `[{"Target":"ci "}]`}},
		"TaskSpec.RestartPolicy":      {[]string{`{"Condition":"none"}`, `{"Condition":"on-failure","MaxAttempts":3}`}, []string{`null`, `{}`, `{"Condition":"any"}`, `{"Condition":"None"}`}},
		"ContainerSpec.Image":         narrowSamples["Config.Image"],
		"ContainerSpec.User":          narrowSamples["Config.User"],
		"ContainerSpec.Env":           narrowSamples["Config.Env"],
		"ContainerSpec.Labels":        narrowSamples["Config.Labels"],
		"ContainerSpec.Mounts":        narrowSamples["HostConfig.Mounts"],
		"ContainerSpec.CapabilityAdd": narrowSamples["HostConfig.CapAdd"],
		"ContainerSpec.Ulimits":       narrowSamples["Resources.Ulimits"],
		"Limit.MemoryBytes":           {[]string{`1073741824`, `6291456`}, []string{`0`, `-1`, `1073741825`, `null`}},
		"Limit.NanoCPUs":              {[]string{`2000000000`, `1`}, []string{`0`, `2000000001`, `-1`, `null`}},
		"Limit.Pids":                  {[]string{`100`, `1`}, []string{`0`, `-1`, `101`, `null`}},
	} {
		narrowSamples[name] = values
	}
	narrowNeeds = append(narrowNeeds, "Service.TaskTemplate", "TaskSpec.ContainerSpec", "TaskSpec.Resources",
		"ResourceRequirements.Limits", "Limit.MemoryBytes", "Limit.NanoCPUs", "Limit.Pids", "TaskSpec.RestartPolicy", "TaskSpec.Networks",
		"ContainerSpec.Image", "ContainerSpec.User", "ContainerSpec.Ulimits")
}
