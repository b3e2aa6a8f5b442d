{{/* Where a stage computes: in its own pod, or in a SparkApplication that its pod, the launcher, makes. */}}

{{/* The engine in the stage's own pod, which with `auto` is also the launcher's: of (root, stage). It has as many workers
     as the pod has cores, where nobody said otherwise; the machine's own count would be the node's. Its memory it takes
     from the pod's limit by itself. */}}
{{- define "marquee.localEngineEnv" -}}
- name: MARQUEE_ENGINE__KIND
  value: {{ .stage.engine }}
{{- if not (hasKey .root.Values.settings.engine "workers") }}
- name: MARQUEE_ENGINE__WORKERS
  valueFrom:
    resourceFieldRef:
      resource: {{ if (dig "limits" "cpu" "" .stage.resources) }}limits.cpu{{ else }}requests.cpu{{ end }}
{{- end }}
{{- end -}}

{{/* The whole MiB of a quantity of memory, such as 512Mi, 1Gi, 1.5G or a number of bytes. */}}
{{- define "marquee.mebibytes" -}}
{{- $text := toString . -}}
{{- $units := dict "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- divf (mulf (float64 (trimSuffix $unit $text)) (get $units $unit | default 1.0)) 1048576.0 | floor | int64 -}}
{{- end -}}

{{/* What the launcher of a stage is told: of (stage, job and uid: fields with name and UID of what its application is to
     belong to). It gives up a minute before its job is ended. */}}
{{- define "marquee.launcherEnv" -}}
- name: MARQUEE_LAUNCHER__APPLICATION
  value: /etc/marquee/sparkapplication.yaml
- name: MARQUEE_LAUNCHER__MAX_PERIODS
  value: {{ .stage.spark.maxPeriods | quote }}
- name: MARQUEE_LAUNCHER__STARTUP_DEADLINE_S
  value: {{ .stage.spark.startupDeadlineSeconds | quote }}
- name: MARQUEE_LAUNCHER__DEADLINE_S
  value: {{ sub .stage.activeDeadlineSeconds 60 | quote }}
- name: MARQUEE_LAUNCHER__POLL_S
  value: {{ .stage.spark.pollSeconds | quote }}
- name: MARQUEE_LAUNCHER__NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: MARQUEE_LAUNCHER__JOB_NAME
  valueFrom:
    fieldRef:
      fieldPath: {{ .job }}
- name: MARQUEE_LAUNCHER__JOB_UID
  valueFrom:
    fieldRef:
      fieldPath: {{ .uid }}
{{- end -}}

{{- define "marquee.applicationName" -}}
{{- printf "%s-%s-application" (include "marquee.fullname" .root) .stage.component -}}
{{- end -}}

{{/* Spark's configuration: of a stage. Ports are fixed for the sake of network policies. */}}
{{- define "marquee.sparkConf" -}}
{{- $conf := dict
      "spark.driver.port" "7078"
      "spark.driver.blockManager.port" "7079"
      "spark.blockManager.port" "7079"
      "spark.authenticate" "true"
      "spark.network.crypto.enabled" "true"
      "spark.io.encryption.enabled" "true"
      "spark.python.unix.domain.socket.enabled" "true"
      "spark.ui.prometheus.enabled" "true"
      "spark.metrics.namespace" .name
      "spark.metrics.conf.driver.sink.prometheusServlet.class" "org.apache.spark.metrics.sink.PrometheusServlet"
      "spark.metrics.conf.driver.sink.prometheusServlet.path" "/metrics/driver/prometheus/"
-}}
{{- include "marquee.merged" (dict "base" $conf "over" .spark.sparkConf) | fromJson | toYaml -}}
{{- end -}}

{{/* The settings as a list of env: the driver has them in its own template, not from the ConfigMap. An upgrade while a
     launcher is at work would otherwise start its old image with new settings. */}}
{{- define "marquee.settingsEnv" -}}
{{- include "marquee.listOfEnv" (include "marquee.settings" . | fromYaml) }}
{{- end -}}

{{/* The pod of a driver or an executor: of (root, stage, role, pod, env, token; ports). */}}
{{- define "marquee.sparkTemplate" -}}
{{- $workload := printf "%s-%s" .stage.component .role -}}
{{- $account := include "marquee.accountName" (dict "root" .root "account" .pod.serviceAccount "workload" $workload) -}}
metadata:
  {{- include "marquee.podMetadata" (dict "root" .root "component" $workload "pod" .pod) | nindent 2 }}
spec:
  {{- include "marquee.podSpec" (dict "pod" .pod "account" $account "token" .token) | nindent 2 }}
  containers:
    - name: spark-kubernetes-{{ .role }}
      {{- $mounts := "- name: spark-local-dir-1\n  mountPath: /var/data/spark-local-dir-1" }}
      {{- include "marquee.container" (dict "pod" .pod "env" .env "mounts" $mounts "ports" .ports) | nindent 6 }}
  volumes:
    {{- $local := printf "- name: spark-local-dir-1\n  emptyDir:\n    sizeLimit: %s" .pod.localDirSize }}
    {{- include "marquee.volumes" (dict "pod" .pod "volumes" $local) | nindent 4 }}
{{- end -}}

{{/* What driver and executors have in the SparkApplication beside the template: of (root, stage, role, pod). Labels of
     the SparkApplication come upon those of the template, so the component is said once more here. */}}
{{- define "marquee.sparkRoleSpec" -}}
{{- $workload := printf "%s-%s" .stage.component .role -}}
cores: {{ .pod.cores }}
coreRequest: {{ .pod.coreRequest | quote }}
{{- with .pod.coreLimit }}
coreLimit: {{ . | quote }}
{{- end }}
memory: {{ .pod.memory }}
memoryOverhead: {{ .pod.memoryOverhead }}
{{- with .pod.javaOptions }}
javaOptions: {{ . | quote }}
{{- end }}
serviceAccount: {{ include "marquee.accountName" (dict "root" .root "account" .pod.serviceAccount "workload" $workload) }}
labels:
  app.kubernetes.io/component: {{ $workload }}
{{- end -}}

{{/* The SparkApplication of a stage: of (root, stage). Each role has a pod template that says everything, so that the
     operator does the same with its webhook and without. */}}
{{- define "marquee.application" -}}
{{- $driver := include "marquee.sparkRole" (dict "stage" .stage "role" "driver") | fromJson -}}
{{- $executor := include "marquee.sparkRole" (dict "stage" .stage "role" "executor") | fromJson -}}
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata:
  name: {{ include "marquee.fullname" .root }}-{{ .stage.component }}
  labels:
    {{- include "marquee.labels" (dict "root" .root "component" .stage.component "managedBy" "marquee-launcher") | nindent 4 }}
spec:
  type: Python
  pythonVersion: "3"
  mode: cluster
  sparkVersion: {{ .stage.spark.version | quote }}
  image: {{ .stage.image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  mainApplicationFile: local:///opt/marquee/jobs/{{ .stage.name }}/__main__.py
  restartPolicy:
    type: Never
  timeToLiveSeconds: {{ .stage.spark.timeToLiveSeconds }}
  sparkConf:
    {{- include "marquee.sparkConf" .stage | nindent 4 }}
  {{- with .stage.spark.dynamicAllocation }}
  {{- if .enabled }}
  dynamicAllocation:
    enabled: true
    shuffleTrackingEnabled: true
    initialExecutors: {{ .initialExecutors }}
    minExecutors: {{ .minExecutors }}
    maxExecutors: {{ .maxExecutors }}
  {{- end }}
  {{- end }}
  driver:
    {{- include "marquee.sparkRoleSpec" (dict "root" .root "stage" .stage "role" "driver" "pod" $driver) | nindent 4 }}
    template:
      {{- $settings := include "marquee.settingsEnv" .root | trim }}
      {{- $secrets := include "marquee.stageSecretEnv" (dict "root" .root "stage" .stage) }}
      {{- $env := printf "%s\n- name: MARQUEE_ENGINE__KIND\n  value: spark\n%s" $settings $secrets }}
      {{- include "marquee.sparkTemplate" (dict "root" .root "stage" .stage "role" "driver" "pod" $driver "env" $env "token" true "ports" (include "marquee.metricsPort" .root)) | nindent 6 }}
  executor:
    {{- if not .stage.spark.dynamicAllocation.enabled }}
    instances: {{ $executor.instances }}
    {{- end }}
    deleteOnTermination: true
    {{- include "marquee.sparkRoleSpec" (dict "root" .root "stage" .stage "role" "executor" "pod" $executor) | nindent 4 }}
    template:
      {{- /* Tasks are told everything but the keys of S3 and of viewers, which do not travel. */}}
      {{- $env := include "marquee.secretEnv" (dict "root" .root "s3" .root.Values.secrets.s3 "viewerKey" (eq .stage.name "rollup")) }}
      {{- include "marquee.sparkTemplate" (dict "root" .root "stage" .stage "role" "executor" "pod" $executor "env" $env "token" false) | nindent 6 }}
{{- end -}}
