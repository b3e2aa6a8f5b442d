{{/* Settings as environment variables, and the secrets beside them. */}}

{{/* Return NAME: "value" for each setting: of (above, values). */}}
{{- define "marquee.variables" -}}
{{- range $key, $value := .values }}
{{- $name := printf "%s%s" $.above (upper $key) }}
{{- if kindIs "map" $value }}
{{- include "marquee.variables" (dict "above" (printf "%s__" $name) "values" $value) }}
{{- else if kindIs "string" $value }}
{{- if $value }}
{{ $name }}: {{ quote $value }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }}: {{ toJson $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "marquee.settings" -}}
{{- $own := dict "environment" (include "marquee.environmentName" .) "metrics" (dict "port" .Values.metrics.port) -}}
{{- $settings := include "marquee.merged" (dict "base" .Values.settings "over" $own) | fromJson -}}
{{- include "marquee.variables" (dict "above" "MARQUEE_" "values" $settings) | trim -}}
{{- end -}}

{{- define "marquee.settingsName" -}}
{{- printf "%s-settings" (include "marquee.fullname" .) -}}
{{- end -}}

{{/* Variables from Secrets: of (root, the Secret with the keys of S3, and those of viewerKey, mart that are wanted). */}}
{{- define "marquee.secretEnv" -}}
{{- if .s3.name }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .s3.name }}
      key: {{ .s3.accessKeyId }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .s3.name }}
      key: {{ .s3.secretAccessKey }}
{{- with .s3.sessionToken }}
- name: AWS_SESSION_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ $.s3.name }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- with .root.Values.secrets }}
{{- if and $.viewerKey .viewerKey.name }}
- name: MARQUEE_ROLLUP__VIEWER_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .viewerKey.name }}
      key: {{ .viewerKey.key }}
{{- end }}
{{- if and $.mart .mart.name }}
- name: MARQUEE_MART__PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .mart.name }}
      key: {{ .mart.key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets that a stage reads: of (root, stage). Retention has S3 keys of its own, because only it may delete raw events. */}}
{{- define "marquee.stageSecretEnv" -}}
{{- $s3 := get .root.Values.secrets (ternary "s3Retain" "s3" (eq .stage.name "retain")) -}}
{{- include "marquee.secretEnv" (dict "root" .root "s3" $s3 "viewerKey" (has .stage.name (list "rollup" "retain" "admin"))
      "mart" (or .stage.readsMart (eq .stage.name "admin"))) -}}
{{- end -}}

{{/* Variables as a list of env: of a map. */}}
{{- define "marquee.listOfEnv" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ quote $value }}
{{- end }}
{{- end -}}

{{/* The variables of the job that migrates the mart: the settings with the administrator's URL, his password, and the
     loader's, which the job sets. */}}
{{- define "marquee.migrateEnv" -}}
{{- $url := .Values.settings.mart.url -}}
{{- $settings := include "marquee.settings" . | fromYaml -}}
{{- $_ := set $settings "MARQUEE_MART__URL" (regexReplaceAll "^mysql://[^@]*@" $url (printf "mysql://%s@" .Values.secrets.martAdmin.user)) -}}
{{- $_ := set $settings "MARQUEE_MART__LOADER" (regexFind "^mysql://[^@]*" $url | trimPrefix "mysql://") -}}
{{- include "marquee.listOfEnv" $settings }}
{{- range $variable, $secret := dict "MARQUEE_MART__PASSWORD" .Values.secrets.martAdmin "MARQUEE_MART__LOADER_PASSWORD" .Values.secrets.mart }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $secret.key }}
{{- end }}
{{- end -}}
