{{- /* What no schema can say, because two values are involved. Each message names the value to change. */}}
{{- define "agb-gateway.checks" -}}
{{- $auth := .Values.config.auth | default dict }}
{{- $server := .Values.config.server | default dict }}
{{- $secrets := .Values.secrets }}
{{- if not .Values.emulator.enabled }}
{{- if not (or $secrets.agbApiKey.name (eq (toJson $auth.methods) `["agb_key"]`)) }}
{{- fail "secrets.agbApiKey.name: name the Secret with the key of the AGB account (or set emulator.enabled for a playground without an account)" }}
{{- end }}
{{- if not $auth.methods }}
{{- fail "config.auth.methods: say how callers are known, for example [\"token\"] with secrets.tokens.name" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.agb) }}
{{- fail "networkPolicy.agb: name the address blocks where AGB and its storage (or your proxy) are, since the policy lets nothing else out; networkPolicy.enabled=false leaves egress to the cluster" }}
{{- end }}
{{- else if $secrets.agbApiKey.name }}
{{- fail "emulator.enabled: the emulator is for playing, and secrets.agbApiKey.name names the key of a real account: use one of the two" }}
{{- end }}
{{- if and (has "token" ($auth.methods | default list)) (not $secrets.tokens.name) }}
{{- fail "secrets.tokens.name: config.auth.methods has \"token\", so name the Secret with the file of tokens" }}
{{- end }}
{{- if and (has "mtls" ($auth.methods | default list)) (not $secrets.clientCa.name) }}
{{- fail "secrets.clientCa.name: config.auth.methods has \"mtls\", so name the Secret with the authority of clients' certificates" }}
{{- end }}
{{- if and $secrets.clientCa.name (not (include "agb-gateway.tlsSecret" .)) }}
{{- fail "secrets.clientCa.name: certificates of clients need TLS: set secrets.tls.name or certificate.enabled" }}
{{- end }}
{{- if and $secrets.clientCa.name (ne ($server.tls_client_certificates | default "required") "optional") (not $secrets.probeClient.name) }}
{{- fail "secrets.probeClient.name: clients must show certificates, and so must the probes: name a Secret with one for them, or set config.server.tls_client_certificates to \"optional\"" }}
{{- end }}
{{- if and .Values.certificate.enabled $secrets.tls.name }}
{{- fail "certificate.enabled: secrets.tls.name names a certificate already: use one of the two" }}
{{- end }}
{{- if and .Values.certificate.enabled (not .Values.certificate.issuerRef.name) }}
{{- fail "certificate.issuerRef.name: name the issuer that cert-manager is to ask" }}
{{- end }}
{{- range $tenant, $_ := $secrets.tenants }}
{{- if eq $tenant "default" }}{{ fail "secrets.tenants.default: the key of the tenant \"default\" is secrets.agbApiKey" }}{{ end }}
{{- end }}
{{- $drain := $server.drain_timeout | default "30s" }}
{{- $unit := regexFind "[a-z]+$" $drain }}
{{- $seconds := mulf (float64 (regexFind "^[0-9]+" $drain)) (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit) }}
{{- $needed := addf $seconds (float64 .Values.preStopSleepSeconds) }}
{{- if le (float64 .Values.terminationGracePeriodSeconds) $needed }}
{{- fail (printf "terminationGracePeriodSeconds: must be above preStopSleepSeconds and config.server.drain_timeout together, %.0f s, or the drain is cut off by SIGKILL; got %.0f" $needed (float64 .Values.terminationGracePeriodSeconds)) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas: must not be above autoscaling.maxReplicas" }}
{{- end }}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) }}
{{- fail "grpcRoute.parentRefs: name the Gateway that the route belongs to" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.hosts: name at least one host" }}
{{- end }}
{{- $watches := or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled .Values.metrics.rules.enabled }}
{{- if and $watches (not .Values.metrics.enabled) }}
{{- fail "metrics.enabled: monitors and rules need it" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics.podMonitor.enabled: with metrics.serviceMonitor.enabled every figure would be there twice: use one of the two" }}
{{- end }}
{{- end }}
