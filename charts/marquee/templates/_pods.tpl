{{/* Pods: the same restricted shape for stages, drivers, executors and the preflight. */}}

{{/* The metadata of a pod: of (root, component, pod). */}}
{{- define "marquee.podMetadata" -}}
labels:
  {{- include "marquee.selectorLabels" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .pod.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .pod.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What a pod's spec has beside its containers: of (pod, account, token: whether it may ask the API server). */}}
{{- define "marquee.podSpec" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .pod.terminationGracePeriodSeconds }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with get $.pod $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
securityContext:
  {{- toYaml .pod.podSecurityContext | nindent 2 }}
{{- end -}}

{{/* What every container has: of (pod; env, envFrom, mounts, ports: texts of YAML lists). The root file system is read-only:
     whatever is written on the way goes to /tmp, where the images are at home. */}}
{{- define "marquee.container" -}}
{{- with concat (default "" .env | fromYamlArray) .pod.extraEnv -}}
env:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with concat (default "" .envFrom | fromYamlArray) .pod.extraEnvFrom -}}
envFrom:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .ports -}}
ports:
  {{- . | trim | nindent 2 }}
{{ end -}}
securityContext:
  {{- toYaml .pod.securityContext | nindent 2 }}
volumeMounts:
  - name: scratch
    mountPath: /tmp
  {{- with .mounts }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .pod.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The volumes of a pod: of (pod, volumes). */}}
{{- define "marquee.volumes" -}}
- name: scratch
  emptyDir:
    sizeLimit: {{ .pod.scratchSize }}
{{- with .volumes }}
{{ . | trim }}
{{- end }}
{{- with .pod.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The port at which a container tells its metrics. */}}
{{- define "marquee.metricsPort" -}}
- name: metrics
  containerPort: {{ .Values.metrics.port }}
{{- end -}}
