{{/* The job that fills the kiosk with what the lake has of the period and the kiosk has not. Its database answers only when
     its schema and its users are made; until then the load waits, as for any server that is down. */}}
{{- define "kiosk.loadJob" -}}
backoffLimit: {{ .Values.load.backoffLimit }}
activeDeadlineSeconds: {{ .Values.load.activeDeadlineSeconds }}
podFailurePolicy:
  {{- include "kiosk.podFailurePolicy" . | nindent 2 }}
template:
  metadata:
    {{- include "kiosk.podMetadata" (dict "root" . "component" "load") | nindent 4 }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ default (include "kiosk.fullname" .) .Values.serviceAccount.name }}
    {{- include "kiosk.podSpec" (dict "root" . "user" 185 "token" false) | nindent 4 }}
    {{- with .Values.load.extraInitContainers }}
    initContainers:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: load
        image: {{ include "kiosk.image" . }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        args: [python, -m, jobs.mart_load]
        env:
          {{- include "kiosk.loadEnv" . | nindent 10 }}
        envFrom:
          - configMapRef:
              name: {{ include "kiosk.fullname" . }}-settings
          {{- with .Values.load.extraEnvFrom }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        securityContext:
          {{- toYaml .Values.securityContext | nindent 10 }}
        resources:
          {{- toYaml .Values.load.resources | nindent 10 }}
        volumeMounts:
          - name: scratch
            mountPath: /tmp
          {{- include "kiosk.tlsMount" . | nindent 10 }}
          {{- with .Values.load.extraVolumeMounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
    volumes:
      - name: scratch
        emptyDir:
          sizeLimit: 2Gi
      # The authority alone: the server's key is for the server.
      - name: tls
        secret:
          secretName: {{ include "kiosk.tlsName" . }}
          items: [{key: ca.crt, path: ca.crt}]
      {{- with .Values.load.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}

{{- define "kiosk.loadEnv" -}}
- name: MARQUEE_MART__URL
  value: mysql://marquee_loader@{{ include "kiosk.fullname" . }}/marquee
- name: MARQUEE_MART__TLS_CA
  value: /etc/kiosk/tls/ca.crt
{{ include "kiosk.passwordEnv" (dict "root" . "variable" "MARQUEE_MART__PASSWORD" "user" "loader") }}
{{- with .Values.secrets.s3 }}
{{- if .name }}
{{- range $variable, $key := dict "AWS_ACCESS_KEY_ID" .accessKeyId "AWS_SECRET_ACCESS_KEY" .secretAccessKey "AWS_SESSION_TOKEN" .sessionToken }}
{{- if $key }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.secrets.s3.name }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.load.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a job that loads. */}}
{{- define "kiosk.loadMetadata" -}}
labels:
  {{- include "kiosk.labels" (dict "root" . "component" "load") | nindent 2 }}
  {{- with .Values.load.queueName }}
  kueue.x-k8s.io/queue-name: {{ . }}
  {{- end }}
{{- with .Values.load.jobAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
