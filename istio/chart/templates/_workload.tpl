{{/* Labels of every object. */}}
{{- define "weir.labels" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "weir.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* Asks for the sidecar on the pod itself, so that it is there whatever the namespace says. */}}
{{- define "weir.injection" -}}
{{- if .Values.istio.revision -}}
istio.io/rev: {{ .Values.istio.revision | quote }}
{{- else -}}
sidecar.istio.io/inject: "true"
{{- end }}
{{- end }}

{{/* Arguments: root, port of the admin interface, milliseconds until the program has ended. */}}
{{- define "weir.podAnnotations" -}}
{{- $drain := printf "%ds" (div (add .endsWithinMs 999) 1000) -}}
proxy.istio.io/config: {{ dict "holdApplicationUntilProxyStarts" true "terminationDrainDuration" $drain | toJson | quote }}
{{- if eq .root.Values.metrics.scrape "annotations" }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .adminPort | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{- define "weir.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "weir.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Liveness does not follow readiness: a pod that drains or loads is not restarted. */}}
{{- define "weir.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  failureThreshold: 3
{{- end }}

{{/* A new pod is ready before an old one goes. */}}
{{- define "weir.rollout" -}}
strategy:
  type: RollingUpdate
  rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
minReadySeconds: 2
{{- end }}

{{/* Arguments: name, labels, autoscaling. */}}
{{- define "weir.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "weir.labels" .root | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ .name }} }
  minReplicas: {{ .autoscaling.minReplicas }}
  maxReplicas: {{ .autoscaling.maxReplicas }}
  metrics:
    - type: ContainerResource
      containerResource:
        name: cpu
        container: weir
        target: { type: Utilization, averageUtilization: {{ .autoscaling.cpuPercent }} }
  behavior:
    scaleDown: { stabilizationWindowSeconds: 300 }
{{- end }}

{{/* Arguments: name, selector. */}}
{{- define "weir.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "weir.labels" .root | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- toYaml .selector | nindent 6 }}
{{- end }}

{{/* Arguments: name, selector, port. Port 15020 is the sidecar's: probes, and all metrics merged. */}}
{{- define "weir.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "weir.labels" .root | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- toYaml .selector | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - from:
        {{- range .root.Values.networkPolicy.callers }}
        - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ . }} } }
        {{- end }}
      ports:
        - { protocol: TCP, port: {{ .port }} }
    {{- if ne .root.Values.metrics.scrape "none" }}
    - from:
        - namespaceSelector:
            matchLabels: { kubernetes.io/metadata.name: {{ .root.Values.metrics.namespace }} }
      ports:
        - { protocol: TCP, port: 15020 }
    {{- end }}
{{- end }}
