{{/* What rules and dashboards share. */}}

{{/* PromQL that keeps the jobs of a stage's CronJob, those made from it by hand too: of (fullname, namespace, component). */}}
{{- define "marquee.isJobOf" -}}
and on (namespace, job_name) kube_job_owner{namespace="{{ .namespace }}", owner_kind="CronJob", owner_name="{{ .fullname }}-{{ .component }}"}
{{- end -}}

{{/* PromQL that counts in whose name the work of a CronJob stands in the metrics: of a stage's name. */}}
{{- define "marquee.metricStages" -}}
{{ eq . "profile" | ternary "profile|audience" . }}
{{- end -}}

{{/* A template of Prometheus with the end of a stage's newest complete hour or day: of (environment, stage). A report has
     no periods of its own; those of the mart that it reads count, and for retention and gc those of the rollup. */}}
{{- define "marquee.newestPeriod" -}}
{{- $of := get (dict "report" "mart_load" "retain" "rollup" "gc" "rollup") .stage | default .stage -}}
{{- $grain := has $of (list "rollup" "mart_load") | ternary "hour" "day" -}}
{{ "{{" }} with query "max(marquee_newest_period_end_timestamp_seconds{environment='{{ .environment }}', stage='{{ $of }}', grain='{{ $grain }}'})" {{ "}}" }}
{{- "{{" }} . | first | value | humanizeTimestamp {{ "}}{{" }} else {{ "}}" }}never{{ "{{" }} end {{ "}}" }}
{{- end -}}
