{{/* What a pod of the kiosk may reach. As in the chart marquee: see docs/operations.md. */}}

{{/* Where a way leads: of (root, way), as JSON of: ports, to. What the values leave out comes from settings.s3.endpoint_url:
     its port; and its host, if that is an address or the name of a Service. */}}
{{- define "kiosk.way" -}}
{{- $given := get .root.Values.networkPolicy.egress .way -}}
{{- $url := ternary (default "" .root.Values.settings.s3.endpoint_url) "" (eq .way "s3") -}}
{{- $parsed := urlParse $url -}}
{{- $host := trimSuffix "." $parsed.hostname -}}
{{- $ports := $given.ports -}}
{{- if not $ports -}}
{{-   $port := regexFind ":[0-9]+$" $parsed.host | trimPrefix ":" -}}
{{-   $ports = list (ternary (ternary 80 443 (eq $parsed.scheme "http")) (int $port) (empty $port)) -}}
{{- end -}}
{{- $to := $given.to -}}
{{- if and (not $to) (not $given.anywhere) -}}
{{-   if regexMatch "^[0-9]+(\\.[0-9]+){3}$" $host -}}
{{-     $to = list (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) -}}
{{-   else if contains ":" $host -}}
{{-     $to = list (dict "ipBlock" (dict "cidr" (printf "%s/128" $host))) -}}
{{-   else if and $host (regexMatch "^[^.]+$" $host) -}}
{{-     $to = list (dict "podSelector" dict) -}}
{{-   else if regexMatch "^[^.]+\\.[^.]+\\.svc(\\.[a-z0-9.-]+)?$" $host -}}
{{-     $namespace := dict "kubernetes.io/metadata.name" (index (splitList "." $host) 1) -}}
{{-     $to = list (dict "namespaceSelector" (dict "matchLabels" $namespace)) -}}
{{-   else -}}
{{-     $what := ternary (printf "settings.s3.endpoint_url names %q, whose addresses a NetworkPolicy cannot know" $host) "its addresses are not in the settings" (not (empty $host)) -}}
{{-     fail (printf "networkPolicy.egress.%s: %s. Set `to` to peers, such as [{ipBlock: {cidr: 10.0.0.0/16}}], or `anywhere: true`, or networkPolicy.enabled=false" .way $what) -}}
{{-   end -}}
{{- end -}}
{{- toJson (dict "ports" $ports "to" $to) -}}
{{- end -}}

{{/* The rule of a way: of (root, way). */}}
{{- define "kiosk.egress" -}}
{{- $open := include "kiosk.way" . | fromJson -}}
- ports:
    {{- range $port := $open.ports }}
    {{- range $protocol := ternary (list "UDP" "TCP") (list "TCP") (eq $.way "dns") }}
    - protocol: {{ $protocol }}
      port: {{ $port }}
    {{- end }}
    {{- end }}
  {{- with $open.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
