{{- /* The labels by which the pods are found. The release is among them: two releases may share a namespace. */ -}}
{{- define "proxy.selector" -}}
app.kubernetes.io/name: docker-socket-proxy
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- /* Of objects, not of pods: `version` changes with each upgrade, and selectors cannot. Both are Kubernetes' recommended labels. */ -}}
{{- define "proxy.labels" -}}
{{ include "proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
