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
    {{- $open := get $.root.Values.networkPolicy.egress $way }}
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
    {{- with .root.Values.networkPolicy.egress.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

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
