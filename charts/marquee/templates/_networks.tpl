{{/* Network policies: what a workload needs is open, all else is closed. */}}

{{/* One workload's policy: of (root, component, ways: names of networkPolicy.egress, ingress and egress: more rules). */}}
{{- define "marquee.networkPolicy" -}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "marquee.fullname" .root }}-{{ .component }}
  labels:
    {{- include "marquee.labels" (dict "root" .root "component" .component) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "marquee.selectorLabels" (dict "root" .root "component" .component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if compact (default list .ingress) }}
    {{- range compact (default list .ingress) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- else }}
    []
    {{- end }}
  egress:
    {{- range $way := .ways }}
    {{- $open := include "marquee.way" (dict "root" $.root "way" $way) | fromJson }}
    {{- if $open.problem }}
    {{- fail $open.problem }}
    {{- end }}
    # {{ $way }}
    - ports:
        {{- range $port := $open.ports }}
        {{- if eq $way "dns" }}
        - protocol: UDP
          port: {{ $port }}
        {{- end }}
        - protocol: TCP
          port: {{ $port }}
        {{- end }}
      {{- with $open.to }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- range compact (default list .egress) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if and .root.Values.networkPolicy.eksPodIdentity (has "s3" .ways) }}
    # credentials of EKS Pod Identity
    - ports: [{protocol: TCP, port: 80}]
      to: [{ipBlock: {cidr: 169.254.170.23/32}}, {ipBlock: {cidr: "fd00:ec2::23/128"}}]
    {{- end }}
    {{- if and .root.Values.networkPolicy.instanceMetadata (has "s3" .ways) }}
    # credentials of the node, or of GKE's metadata server
    - ports: [{protocol: TCP, port: 80}, {protocol: TCP, port: 988}]
      to: [{ipBlock: {cidr: 169.254.169.252/30}}, {ipBlock: {cidr: "fd00:ec2::254/128"}}]
    {{- end }}
    {{- with .root.Values.networkPolicy.egress.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Where a way leads: of (root, way), as JSON of: ports, to, problem. What the values leave out comes from the URL in the
     settings: its port; and its host, if that is an address or the name of a Service. */}}
{{- define "marquee.way" -}}
{{- $settings := .root.Values.settings -}}
{{- $given := get .root.Values.networkPolicy.egress .way -}}
{{- $named := get (dict "s3" "s3.endpoint_url" "schedule" "schedule_fetch.url" "mart" "mart.url"
      "pushgateway" "metrics.pushgateway_url") .way -}}
{{- $url := "" -}}
{{- if $named -}}
{{-   $parts := splitList "." $named -}}
{{-   $url = default "" (get (get $settings (first $parts)) (last $parts)) -}}
{{- end -}}
{{- $parsed := urlParse $url -}}
{{- $host := trimSuffix "." $parsed.hostname -}}
{{- $ports := $given.ports -}}
{{- if not $ports -}}
{{-   $usual := get (dict "http" 80 "https" 443 "mysql" 3306) $parsed.scheme | default 443 -}}
{{-   $port := regexFind ":[0-9]+$" $parsed.host | trimPrefix ":" -}}
{{-   $ports = list (ternary $usual (int $port) (empty $port)) -}}
{{- end -}}
{{- $to := $given.to -}}
{{- $problem := "" -}}
{{- if and (not $to) (not $given.anywhere) -}}
{{-   if regexMatch "^[0-9]+(\\.[0-9]+){3}$" $host -}}
{{-     $to = list (dict "ipBlock" (dict "cidr" (printf "%s/32" $host))) -}}
{{-   else if contains ":" $host -}}
{{-     $to = list (dict "ipBlock" (dict "cidr" (printf "%s/128" $host))) -}}
{{-   else if regexMatch "^[^.]+$" $host -}}
{{-     $to = list (dict "podSelector" dict) -}}
{{-   else if regexMatch "^[^.]+\\.[^.]+\\.svc(\\.[a-z0-9.-]+)?$" $host -}}
{{-     $namespace := dict "kubernetes.io/metadata.name" (index (splitList "." $host) 1) -}}
{{-     $to = list (dict "namespaceSelector" (dict "matchLabels" $namespace)) -}}
{{-   else -}}
{{-     $what := ternary (printf "settings.%s names %q, whose addresses a NetworkPolicy cannot know" $named $host) "its addresses are not in the settings" (and $named (not (empty $host))) -}}
{{-     $problem = printf "networkPolicy.egress.%s: %s. Set `to` to peers, such as [{ipBlock: {cidr: 10.0.0.0/16}}], or `anywhere: true`" .way $what -}}
{{-   end -}}
{{- end -}}
{{- toJson (dict "ports" $ports "to" $to "problem" $problem) -}}
{{- end -}}

{{/* A rule that lets this release's component in or out: of (root, component, way: from or to, ports). */}}
{{- define "marquee.networkPeer" -}}
- {{ .way }}:
    - podSelector:
        matchLabels:
          {{- include "marquee.selectorLabels" (dict "root" .root "component" .component) | nindent 10 }}
  ports:
    {{- range .ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}

{{/* A rule that lets in those who may read metrics, none where nobody may: of (root, ports). */}}
{{- define "marquee.metricsIngress" -}}
{{- with .root.Values.networkPolicy.metricsFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    {{- range $.ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}
