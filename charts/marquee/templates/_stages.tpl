{{/* Values in force: what holds for all, under what a stage, a driver or executors say themselves. Returned as JSON. */}}

{{/* Return over upon base: maps are merged, lists that begin with `extra` added, anything else replaced. Sprig's own
     merges take false, 0 and "" for unset. */}}
{{- define "marquee.merged" -}}
{{- $out := deepCopy .base -}}
{{- range $key, $value := .over -}}
{{-   $under := get $out $key -}}
{{-   if kindIs "invalid" $value -}}
{{-   else if and (kindIs "map" $value) (kindIs "map" $under) -}}
{{-     $_ := set $out $key (include "marquee.merged" (dict "base" $under "over" $value) | fromJson) -}}
{{-   else if and (hasPrefix "extra" $key) (kindIs "slice" $under) -}}
{{-     $_ := set $out $key (concat $under $value) -}}
{{-   else -}}
{{-     $_ := set $out $key $value -}}
{{-   end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The stages that are enabled, as a JSON list of: name, component, the values in force, and onSpark. */}}
{{- define "marquee.stages" -}}
{{- $stages := list -}}
{{- range $name := list "schedule_fetch" "rollup" "profile" "mart_load" "report" "retain" "gc" "admin" -}}
{{-   $own := get $.Values.stages $name -}}
{{-   if $own.enabled -}}
{{-     $stage := include "marquee.merged" (dict "base" $.Values.defaults "over" $own) | fromJson -}}
{{-     $_ := set $stage "name" $name -}}
{{-     $_ := set $stage "component" (replace "_" "-" $name) -}}
{{-     $_ := set $stage "image" (include "marquee.image" (dict "root" $ "stage" (get (dict "report" "mart_load" "retain" "exporter" "gc" "exporter" "admin" "exporter") $name | default $name) "image" $own.image)) -}}
{{-     $_ := set $stage "readsMart" (has $name (list "mart_load" "report")) -}}
{{-     $_ := set $stage "onSpark" (has $own.engine (list "spark" "auto")) -}}
{{-     $_ := set $stage "computes" (hasKey $own "engine") -}}
{{-     if $stage.onSpark -}}
{{-       $_ := set $stage "spark" (include "marquee.merged" (dict "base" $.Values.spark "over" $own.spark) | fromJson) -}}
{{-     end -}}
{{-     $stages = append $stages $stage -}}
{{-   end -}}
{{- end -}}
{{- toJson $stages -}}
{{- end -}}

{{/* The driver or the executors of a stage on Spark: of (stage, role). What concerns pods comes from the stage. */}}
{{- define "marquee.sparkRole" -}}
{{- $pod := pick .stage "terminationGracePeriodSeconds" "scratchSize" "podLabels" "podAnnotations" "nodeSelector"
      "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "podSecurityContext" "securityContext"
      "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts" "extraInitContainers"
      "dnsPolicy" "dnsConfig" "hostAliases" "runtimeClassName" -}}
{{- include "marquee.merged" (dict "base" $pod "over" (get .stage.spark .role)) -}}
{{- end -}}

{{/* The exporter as JSON: what it says itself over the defaults, its image, and the parts that it looks at. */}}
{{- define "marquee.exporter" -}}
{{- $exporter := include "marquee.merged" (dict "base" .Values.defaults "over" .Values.exporter) | fromJson -}}
{{- $_ := set $exporter "image" (include "marquee.image" (dict "root" . "stage" "exporter" "image" .Values.exporter.image)) -}}
{{- $parts := list -}}
{{- range $stage := include "marquee.stages" . | fromJsonArray -}}
{{-   $parts = append $parts (get (dict "schedule_fetch" "schedule" "rollup" "rollup" "profile" "profile" "mart_load" "mart" "retain" "retention") $stage.name) -}}
{{- end -}}
{{- $_ := set $exporter "parts" (append (compact $parts) "garbage") -}}
{{- toJson $exporter -}}
{{- end -}}
