{{/* The image of a program; give it (list . "ztunnel"). A program's own goes before the one for all. */}}
{{- define "wishbone.image" -}}
{{- $root := index . 0 -}}
{{- $own := (index $root.Values (index . 1)).image -}}
{{- if $own -}}
{{ $own }}
{{- else if $root.Values.image.digest -}}
{{ $root.Values.image.repository }}@{{ $root.Values.image.digest }}
{{- else -}}
{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Labels of an object; give it (list . "component"). */}}
{{- define "wishbone.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: wishbone
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end -}}

{{/* Labels of a pod of the mesh itself, which is never in the mesh; give it (list . "component" "app"). */}}
{{- define "wishbone.podLabels" -}}
app: {{ index . 2 }}
app.kubernetes.io/name: wishbone
app.kubernetes.io/component: {{ index . 1 }}
istio.io/dataplane-mode: none
sidecar.istio.io/inject: "false"
{{- end -}}

{{/* The variables of every program. */}}
{{- define "wishbone.env" -}}
- { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
- { name: POD_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
- { name: NODE_NAME, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
- { name: INSTANCE_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
- { name: SERVICE_ACCOUNT, valueFrom: { fieldRef: { fieldPath: spec.serviceAccountName } } }
- { name: TRUST_DOMAIN, value: {{ .Values.trustDomain | quote }} }
- { name: CLUSTER_ID, value: {{ .Values.clusterId | quote }} }
- { name: CLUSTER_DOMAIN, value: {{ .Values.clusterDomain | quote }} }
- { name: LOG_FORMAT, value: {{ .Values.log.format | quote }} }
- { name: LOG_LEVEL, value: {{ .Values.log.level | quote }} }
{{- end -}}

{{/*
A program's variables, a line each; give it (list OWN SET): SET, from the values, takes the place of those of the same names in
OWN, since the API takes no variable twice.
*/}}
{{- define "wishbone.variables" -}}
{{- $set := index . 1 -}}
{{- $lines := list -}}
{{- range splitList "\n" (index . 0) -}}
{{- if not (hasKey $set (regexReplaceAll "^- \\{ name: ([A-Z0-9_]+),.*$" . "${1}")) -}}
{{- $lines = append $lines . -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $set -}}
{{- $lines = append $lines (printf "- { name: %s, value: %s }" $name ($value | quote)) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}
