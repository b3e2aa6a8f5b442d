{{- define "kiosk.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Labels by which workloads are selected: of (root, component). */}}
{{- define "kiosk.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "kiosk.labels" -}}
{{ include "kiosk.selectorLabels" . }}
app.kubernetes.io/part-of: marquee
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kiosk.passwordsName" -}}
{{- default (printf "%s-passwords" (include "kiosk.fullname" .)) .Values.secrets.passwords.name -}}
{{- end -}}

{{/* A variable from the Secret with the passwords: of (root, variable, user). */}}
{{- define "kiosk.passwordEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "kiosk.passwordsName" .root }}
      key: {{ .user }}
{{- end -}}

{{/* Return NAME: "value" for each setting: of (above, values). */}}
{{- define "kiosk.variables" -}}
{{- range $key, $value := .values }}
{{- $name := printf "%s%s" $.above (upper $key) }}
{{- if kindIs "map" $value }}
{{- include "kiosk.variables" (dict "above" (printf "%s__" $name) "values" $value) }}
{{- else if kindIs "string" $value }}
{{- if $value }}
{{ $name }}: {{ quote $value }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }}: {{ toJson $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The metadata of a pod: of (root, component). */}}
{{- define "kiosk.podMetadata" -}}
labels:
  {{- include "kiosk.selectorLabels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What all pods have: of (root, user). */}}
{{- define "kiosk.podSpec" -}}
enableServiceLinks: false
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "dnsConfig" "hostAliases" }}
{{- with get $.root.Values $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "kiosk.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The image of the load. A digest comes after the tag, and decides; one in the name is the user's own. */}}
{{- define "kiosk.image" -}}
{{- $of := .Values.image -}}
{{- if or (not $of.digest) (contains "@" $of.name) }}{{ $of.name }}{{ else }}{{ $of.name }}@{{ $of.digest }}{{ end -}}
{{- end -}}
