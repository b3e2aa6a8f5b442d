{{/* The job that fills the kiosk: users and rights first, then what the lake has of the period and the kiosk has not. */}}
{{- define "kiosk.loadJob" -}}
backoffLimit: {{ .Values.load.backoffLimit }}
activeDeadlineSeconds: {{ .Values.load.activeDeadlineSeconds }}
podFailurePolicy:
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
template:
  metadata:
    {{- include "kiosk.podMetadata" (dict "root" . "component" "load") | nindent 4 }}
  spec:
    restartPolicy: Never
    serviceAccountName: {{ default (include "kiosk.fullname" .) .Values.serviceAccount.name }}
    {{- include "kiosk.podSpec" (dict "root" . "user" 185) | nindent 4 }}
    initContainers:
      - name: wait
        image: {{ .Values.mariadb.image }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        # Five seconds apart, for five minutes.
        command: [mariadb-admin, --host={{ include "kiosk.fullname" . }}, --user=root, --wait=60, --connect-timeout=5, ping]
        env:
          {{- include "kiosk.passwordEnv" (dict "root" . "variable" "MYSQL_PWD" "user" "root") | nindent 10 }}
        securityContext:
          {{- include "kiosk.securityContext" . | nindent 10 }}
          runAsUser: {{ .Values.mariadb.user }}
        resources:
          {{- toYaml .Values.load.resources | nindent 10 }}
      - name: init
        {{- include "kiosk.loadContainer" . | nindent 8 }}
        args: [python, -m, jobs.mart_load.admin]
        env:
          {{- include "kiosk.initEnv" . | nindent 10 }}
    containers:
      - name: load
        {{- include "kiosk.loadContainer" . | nindent 8 }}
        args: [python, -m, jobs.mart_load]
        env:
          {{- include "kiosk.loadEnv" . | nindent 10 }}
    volumes:
      - name: scratch
        emptyDir:
          sizeLimit: 2Gi
      {{- with .Values.load.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}

{{- define "kiosk.loadContainer" -}}
image: {{ include "kiosk.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "kiosk.fullname" . }}-settings
securityContext:
  {{- include "kiosk.securityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.load.resources | nindent 2 }}
volumeMounts:
  - name: scratch
    mountPath: /tmp
  {{- with .Values.load.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The one container that is root: it makes the database, the loader, and the analyst, who may only read. */}}
{{- define "kiosk.initEnv" -}}
- name: MARQUEE_MART__URL
  value: mysql://root@{{ include "kiosk.fullname" . }}/marquee
{{ include "kiosk.passwordEnv" (dict "root" . "variable" "MARQUEE_MART__PASSWORD" "user" "root") }}
{{ include "kiosk.passwordEnv" (dict "root" . "variable" "MARQUEE_MART__LOADER_PASSWORD" "user" "loader") }}
{{ include "kiosk.passwordEnv" (dict "root" . "variable" "MARQUEE_MART__ANALYST_PASSWORD" "user" "analyst") }}
{{- end -}}

{{- define "kiosk.loadEnv" -}}
{{ include "kiosk.passwordEnv" (dict "root" . "variable" "MARQUEE_MART__PASSWORD" "user" "loader") }}
{{- with .Values.secrets.s3 }}
{{- if .name }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .accessKeyId }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .secretAccessKey }}
{{- end }}
{{- end }}
{{- with .Values.load.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
