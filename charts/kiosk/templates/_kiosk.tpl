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

{{- define "kiosk.tlsName" -}}
{{- default (printf "%s-tls" (include "kiosk.fullname" .)) .Values.secrets.tls.name -}}
{{- end -}}

{{/* The image of mart_load. A digest comes after the tag, and decides. */}}
{{- define "kiosk.image" -}}
{{- $name := printf "%s/mart_load:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- $digest := .Values.image.digests.mart_load -}}
{{- default (ternary (printf "%s@%s" $name $digest) $name (not (empty $digest))) .Values.image.name -}}
{{- end -}}

{{- define "kiosk.mariadbImage" -}}
{{- with .Values.mariadb -}}
{{- ternary (printf "%s@%s" .image .digest) .image (not (empty .digest)) -}}
{{- end -}}
{{- end -}}

{{/* When a job tries again. */}}
{{- define "kiosk.podFailurePolicy" -}}
rules:
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
  # Wrong usage, bad input, a bug or a damaged lake, wrong settings: the same again until a person has mended it.
  - action: FailJob
    onExitCodes:
      operator: In
      values: [2, 65, 70, 78]
{{- end -}}

{{/* The certificate as a volume, and where it is mounted: of its name. */}}
{{- define "kiosk.tlsMount" -}}
- name: tls
  mountPath: /etc/kiosk/tls
  readOnly: true
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
  {{- with merge (deepCopy .root.Values.podLabels) .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What all pods have: of (root, user, token: whether it may ask the API server). */}}
{{- define "kiosk.podSpec" -}}
enableServiceLinks: false
automountServiceAccountToken: {{ .token }}
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
securityContext:
  {{- $user := dict "runAsUser" .user "runAsGroup" .user "fsGroup" .user }}
  {{- merge (deepCopy .root.Values.podSecurityContext) $user | toYaml | nindent 2 }}
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
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "dnsPolicy" "dnsConfig" "hostAliases" }}
{{- with get $.root.Values $name }}
{{ dict $name . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}
