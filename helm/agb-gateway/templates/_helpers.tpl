{{- define "agb-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "agb-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Labels of everything. Pods of the gateway and of the emulator differ by the component. */}}
{{- define "agb-gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "agb-gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "agb-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "agb-gateway.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* An image: a digest counts before a tag. The context is a list of the image and the chart. */}}
{{- define "agb-gateway.image" -}}
{{- $image := index . 0 }}{{ $chart := index . 1 -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- /* What is restricted about every container that this chart starts for the gateway. */}}
{{- define "agb-gateway.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "agb-gateway.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "agb-gateway.tlsSecret" -}}
{{- if .Values.certificate.enabled }}{{ include "agb-gateway.fullname" . }}-tls{{ else }}{{ .Values.secrets.tls.name }}{{ end }}
{{- end }}
{{- define "agb-gateway.tlsServerName" -}}
{{- default (printf "%s.%s.svc" (include "agb-gateway.fullname" .) .Release.Namespace) .Values.tlsServerName }}
{{- end }}

{{- /*
The Secrets that are mounted, each with its folder under /run/secrets, the keys that are wanted of it, and the settings that name its
files. A whole folder is mounted, never a single file: only folders are updated when a Secret changes.
*/}}
{{- define "agb-gateway.mounts" -}}
{{- $secrets := .Values.secrets }}
{{- with $secrets.agbApiKey }}{{ if .name }}
- { folder: agb, secret: {{ .name }}, keys: [{{ .key }}], settings: { agb: { api_key_file: /run/secrets/agb/{{ .key }} } } }
{{- end }}{{ end }}
{{- range $tenant, $secret := $secrets.tenants }}
- { folder: tenant-{{ $tenant }}, secret: {{ $secret.name }}, keys: [{{ $secret.key }}], settings: { tenants: { {{ $tenant }}: { api_key_file: /run/secrets/tenant-{{ $tenant }}/{{ $secret.key }} } } } }
{{- end }}
{{- with $secrets.signingKeys }}{{ if .name }}
- { folder: signing, secret: {{ .name }}, keys: [{{ .key }}], settings: { secrets: { signing_key_file: /run/secrets/signing/{{ .key }} } } }
{{- end }}{{ end }}
{{- with $secrets.tokens }}{{ if .name }}
- { folder: tokens, secret: {{ .name }}, keys: [{{ .key }}], settings: { auth: { token_file: /run/secrets/tokens/{{ .key }} } } }
{{- end }}{{ end }}
{{- with include "agb-gateway.tlsSecret" . }}
- { folder: tls, secret: {{ . }}, keys: [tls.crt, tls.key, {{ $secrets.tls.caKey }}], settings: { server: { tls_certificate_file: /run/secrets/tls/tls.crt, tls_key_file: /run/secrets/tls/tls.key } } }
{{- end }}
{{- with $secrets.clientCa }}{{ if .name }}
- { folder: client-ca, secret: {{ .name }}, keys: [{{ .key }}], settings: { server: { tls_client_ca_file: /run/secrets/client-ca/{{ .key }} } } }
{{- end }}{{ end }}
{{- with $secrets.probeClient.name }}
- { folder: probe, secret: {{ . }}, keys: [tls.crt, tls.key], settings: {} }
{{- end }}
{{- with $secrets.agbCa }}{{ if .name }}
- { folder: agb-ca, secret: {{ .name }}, keys: [{{ .key }}], settings: { agb: { ca_file: /run/secrets/agb-ca/{{ .key }} } } }
{{- end }}{{ end }}
{{- with $secrets.agbClient.name }}
- { folder: agb-client, secret: {{ . }}, keys: [tls.crt, tls.key], settings: { agb: { client_certificate_file: /run/secrets/agb-client/tls.crt, client_key_file: /run/secrets/agb-client/tls.key } } }
{{- end }}
{{- with $secrets.otlpHeaders }}{{ if .name }}
- { folder: otlp-headers, secret: {{ .name }}, keys: [{{ .key }}], settings: { telemetry: { otlp: { headers_file: /run/secrets/otlp-headers/{{ .key }} } } } }
{{- end }}{{ end }}
{{- with $secrets.otlpCa }}{{ if .name }}
- { folder: otlp-ca, secret: {{ .name }}, keys: [{{ .key }}], settings: { telemetry: { otlp: { ca_file: /run/secrets/otlp-ca/{{ .key }} } } } }
{{- end }}{{ end }}
{{- end }}
{{- define "agb-gateway.volumes" -}}
- name: config
  configMap:
    name: {{ include "agb-gateway.fullname" . }}
{{- range include "agb-gateway.mounts" . | fromYamlArray }}
- name: {{ .folder }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    optional: false
    items:
      {{- range .keys }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
{{- end }}
{{- end }}
{{- define "agb-gateway.volumeMounts" -}}
- name: config
  mountPath: /etc/agb-gateway
  readOnly: true
{{- range include "agb-gateway.mounts" . | fromYamlArray }}
- name: {{ .folder }}
  mountPath: /run/secrets/{{ .folder }}
  readOnly: true
{{- end }}
{{- end }}

{{- /* The gateway's configuration: the settings of the value `config`, and those that this chart answers for. */}}
{{- define "agb-gateway.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $own := dict "server" (dict "listen" (printf "%s:50051" .Values.bindAddress)) }}
{{- if .Values.metrics.enabled }}
{{- $_ := set $own "telemetry" (dict "metrics_listen" (printf "%s:9464" .Values.bindAddress)) }}
{{- end }}
{{- if .Values.admin.enabled }}
{{- $_ := set $own "admin" (dict "listen" "127.0.0.1:50052") }}
{{- end }}
{{- if .Values.emulator.enabled }}
{{- $_ := set $own "agb" (dict "endpoint" (printf "http://%s-emulator:7070" (include "agb-gateway.fullname" .))) }}
{{- if not (dig "auth" "methods" list $config) }}
{{- $_ := set $own "auth" (dict "methods" (list "none") "allow_none_beyond_loopback" true) }}
{{- end }}
{{- end }}
{{- range include "agb-gateway.mounts" . | fromYamlArray }}
{{- $own = mustMergeOverwrite $own .settings }}
{{- end }}
{{- $config = mustMergeOverwrite $config $own }}
{{- include "agb-gateway.wholeNumbers" $config }}
{{- toToml $config }}
{{- end }}

{{- /* Values are read as floating-point numbers; the gateway wants whole ones to look whole. Changes the map that it is given. */}}
{{- define "agb-gateway.wholeNumbers" -}}
{{- $map := . }}
{{- range $key, $value := $map }}
{{- if kindIs "map" $value }}{{ include "agb-gateway.wholeNumbers" $value }}
{{- else if kindIs "slice" $value }}
{{- range $value }}{{ if kindIs "map" . }}{{ include "agb-gateway.wholeNumbers" . }}{{ end }}{{ end }}
{{- else if and (kindIs "float64" $value) (eq $value (floor $value)) }}{{ $_ := set $map $key (int64 $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What a probe does: the kubelet's own gRPC probe, or in TLS, which that cannot speak, the gateway's command. */}}
{{- define "agb-gateway.healthcheck" -}}
{{- if include "agb-gateway.tlsSecret" .root }}
exec:
  command:
    - /agb-gateway
    - healthcheck
    {{- include "agb-gateway.healthcheckTls" .root | nindent 4 }}
    {{- if .alive }}
    - --alive
    {{- end }}
{{- else }}
grpc:
  port: 50051
{{- end }}
{{- end }}
{{- define "agb-gateway.healthcheckTls" -}}
{{- if include "agb-gateway.tlsSecret" . -}}
- --tls-ca-file=/run/secrets/tls/{{ .Values.secrets.tls.caKey }}
- --tls-server-name={{ include "agb-gateway.tlsServerName" . }}
{{- if .Values.secrets.probeClient.name }}
- --tls-certificate-file=/run/secrets/probe/tls.crt
- --tls-key-file=/run/secrets/probe/tls.key
{{- end }}
{{- end }}
{{- end }}
