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
{{- range $name := list "schedule_fetch" "rollup" "profile" "mart_load" -}}
{{-   $own := get $.Values.stages $name -}}
{{-   if $own.enabled -}}
{{-     $stage := include "marquee.merged" (dict "base" $.Values.defaults "over" $own) | fromJson -}}
{{-     $_ := set $stage "name" $name -}}
{{-     $_ := set $stage "component" (replace "_" "-" $name) -}}
{{-     $_ := set $stage "image" (include "marquee.image" (dict "root" $ "stage" $name "image" $own.image)) -}}
{{-     $_ := set $stage "onSpark" (eq (default "local" $own.engine) "spark") -}}
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
      "extraEnv" "extraEnvFrom" "extraVolumes" "extraVolumeMounts" -}}
{{- include "marquee.merged" (dict "base" $pod "over" (get .stage.spark .role)) -}}
{{- end -}}
