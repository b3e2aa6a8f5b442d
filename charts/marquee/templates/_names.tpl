{{/* Names, labels and images. Everything carries the release, so that two releases in one namespace never meet. */}}

{{- define "marquee.name" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{- define "marquee.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "marquee.name" .) .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "marquee.name" .) -}}
{{- end -}}
{{- end -}}

{{/* Labels by which workloads are selected: of (root, component). */}}
{{- define "marquee.selectorLabels" -}}
app.kubernetes.io/name: {{ include "marquee.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of an object: of (root, component; managedBy, where that is not Helm). */}}
{{- define "marquee.labels" -}}
{{ include "marquee.selectorLabels" . }}
app.kubernetes.io/part-of: marquee
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ default .root.Release.Service .managedBy }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The image of a stage: of (root, stage, image). A digest comes after the tag, and decides. */}}
{{- define "marquee.image" -}}
{{- $of := .root.Values.image -}}
{{- $digest := get $of.digests .stage -}}
{{- $name := printf "%s/%s:%s" $of.repository .stage (default .root.Chart.AppVersion $of.tag) -}}
{{- default (ternary (printf "%s@%s" $name $digest) $name (not (empty $digest))) .image -}}
{{- end -}}

{{/* The service account of a workload: of (root, account, workload). */}}
{{- define "marquee.accountName" -}}
{{- default (printf "%s-%s" (include "marquee.fullname" .root) .workload) .account.name -}}
{{- end -}}

{{/* The service account of the pod that judges the tests of the release. */}}
{{- define "marquee.judgeAccount" -}}
{{- printf "%s-preflight" (include "marquee.fullname" .) -}}
{{- end -}}

{{/* The environment by which all metrics of the release are told apart. */}}
{{- define "marquee.environmentName" -}}
{{- default .Release.Name .Values.environment -}}
{{- end -}}
