{{/* Pods: the same restricted shape for stages, drivers and executors. */}}

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

{{/* What a pod's spec has beside its containers: of (pod, account, token: whether it may ask the API server). Without an
     account, the pod has that of the namespace. */}}
{{- define "marquee.podSpec" -}}
{{- with .account -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .pod.terminationGracePeriodSeconds }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .pod.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "dnsConfig" "hostAliases" }}
{{- with get $.pod $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .pod.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
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

{{- define "marquee.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* When a job tries again: of the name of its container. */}}
{{- define "marquee.podFailureRules" -}}
# Evicted, drained or preempted: nobody's fault, tried again without being counted.
- action: Ignore
  onPodConditions:
    - type: DisruptionTarget
      status: "True"
# Wrong usage, bad input, a bug or a damaged lake, wrong settings: the same again until a person has mended it.
# All else is tried again: 75 may pass, a killed process has none of these codes, and after 76 (another run was
# first) the next try finds the work done and ends well. The table in docs/architecture.md says the same.
- action: FailJob
  onExitCodes:
    containerName: {{ . }}
    operator: In
    values: [2, 65, 70, 78]
{{- end -}}

{{/* The spec of a stage's own pod: of (root, stage, args, job and uid as for marquee.launcherEnv). */}}
{{- define "marquee.stagePod" -}}
{{- $stage := .stage -}}
{{- $account := include "marquee.accountName" (dict "root" .root "account" $stage.serviceAccount "workload" $stage.component) -}}
restartPolicy: Never
{{ include "marquee.podSpec" (dict "pod" $stage "account" $account "token" $stage.onSpark) }}
{{- with include "marquee.pullSecrets" .root }}
{{ . }}
{{- end }}
containers:
  - name: {{ $stage.component }}
    image: {{ $stage.image }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    {{- $env := include "marquee.stageSecretEnv" . }}
    {{- if $stage.onSpark }}
    {{- $env = printf "%s\n%s" $env (include "marquee.launcherEnv" .) }}
    {{- end }}
    {{- if and $stage.computes (ne $stage.engine "spark") }}
    {{- $env = printf "%s\n%s" $env (include "marquee.localEngineEnv" .) }}
    {{- end }}
    {{- $settings := printf "- configMapRef:\n    name: %s" (include "marquee.settingsName" .root) }}
    {{- $mounts := ternary "- name: application\n  mountPath: /etc/marquee\n  readOnly: true" "" $stage.onSpark }}
    {{- $ports := ternary "" (include "marquee.metricsPort" .root) $stage.onSpark }}
    {{- include "marquee.container" (dict "pod" $stage "env" $env "envFrom" $settings "mounts" $mounts "ports" $ports) | nindent 4 }}
    resources:
      {{- toYaml $stage.resources | nindent 6 }}
volumes:
  {{- $application := printf "- name: application\n  configMap:\n    name: %s" (include "marquee.applicationName" .) }}
  {{- include "marquee.volumes" (dict "pod" $stage "volumes" (ternary $application "" $stage.onSpark)) | nindent 2 }}
{{- end -}}
