{{/* The name that all objects begin with, at most 26 characters. */}}
{{- define "name" -}}
{{- $name := default .Release.Name .Values.fullnameOverride -}}
{{- if gt (len $name) 26 -}}
{{- printf "%s-%s" ($name | trunc 20 | trimSuffix "-") (sha256sum $name | trunc 5) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* The name of objects that belong to no namespace. */}}
{{- define "clusterName" -}}
{{ .Release.Namespace }}-{{ include "name" . }}
{{- end -}}

{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "pullSecrets" -}}
{{- range .Values.image.pullSecrets }}
- name: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Names of the DaemonSets. */}}
{{- define "workerSets" -}}
{{- range .Values.nodeGroups }}
- {{ include "name" $ }}-agent-{{ .name }}
{{- end }}
{{- end -}}

{{- define "controlPlaneSets" -}}
{{- range .Values.nodeGroups }}
- {{ include "name" $ }}-control-plane-{{ .name }}
{{- end }}
{{- end -}}

{{/* Names of the Leases: slots of the workers, and the one of the control plane. */}}
{{- define "workerSlots" -}}
{{- range $number := until (int .Values.rollout.parallel) }}
- "{{ include "name" $ }}-{{ $number }}"
{{- end }}
{{- end -}}

{{- define "controlPlaneSlots" -}}
- {{ include "name" . }}-control-plane
{{- end -}}

{{- define "taint" -}}
gcp-sa-credential-provider/not-ready
{{- end -}}

{{/* Variables that lead to the API server where its Service does not. */}}
{{- define "apiServer" -}}
{{- with .Values.apiServer.host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ default 443 $.Values.apiServer.port | quote }}
{{- end }}
{{- end -}}

{{/* A pod that only talks to the API server. */}}
{{- define "restricted" -}}
runAsNonRoot: true
runAsUser: 65534
runAsGroup: 65534
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Nodes that have a kubelet of ours to change: not the virtual ones of AKS, not EKS Fargate. */}}
{{- define "realNodes" -}}
- key: type
  operator: NotIn
  values: [virtual-kubelet]
- key: eks.amazonaws.com/compute-type
  operator: NotIn
  values: [fargate]
{{- end -}}

{{- define "workersOnly" -}}
- matchExpressions:
    {{- include "realNodes" . | nindent 4 }}
    {{- range .Values.controlPlaneLabels }}
    - key: {{ . | quote }}
      operator: DoesNotExist
    {{- end }}
{{- end -}}

{{- define "controlPlaneOnly" -}}
{{- range .Values.controlPlaneLabels }}
- matchExpressions:
    {{- include "realNodes" $ | nindent 4 }}
    - key: {{ . | quote }}
      operator: Exists
{{- end }}
{{- end }}

{{/* What a DaemonSet knows its pods by. Of: the same as daemonSet. */}}
{{- define "identity" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .role }}
gcp-sa-credential-provider/group: {{ .group.name | quote }}
{{- end -}}

{{/* One DaemonSet. Of: root, group, role, slots, after and afterSlots (lists), affinity (YAML). */}}
{{- define "daemonSet" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ include "name" $root }}-{{ .role }}-{{ .group.name }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    gcp-sa-credential-provider/group: {{ .group.name | quote }}
spec:
  selector:
    matchLabels:
      {{- include "identity" . | nindent 6 }}
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      # Leases say whose turn it is; a node that is down or failed holds up no other's pod.
      maxUnavailable: 100%
  template:
    metadata:
      labels:
        {{- include "identity" . | nindent 8 }}
      annotations:
        # The agent reads its configuration once; a change of it is a new pod.
        checksum/config: {{ sha256sum .group.config }}
    spec:
      serviceAccountName: {{ include "name" $root | quote }}
      {{- with include "pullSecrets" $root }}
      imagePullSecrets:
        {{- . | trim | nindent 8 }}
      {{- end }}
      priorityClassName: {{ $root.Values.priorityClassName | quote }}
      hostPID: true
      hostNetwork: {{ $root.Values.hostNetwork }}
      enableServiceLinks: false
      # A change that is under way is completed: restart and health checks of the kubelet, and the
      # way back. As long as the control plane's Lease.
      terminationGracePeriodSeconds: 1500
      nodeSelector:
        kubernetes.io/os: linux
        {{- with .group.nodeSelector }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              {{- .affinity | trim | nindent 14 }}
      tolerations:
        {{- toYaml $root.Values.tolerations | nindent 8 }}
      containers:
        - name: agent
          image: {{ include "image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            - node
            - agent
            - --mode=$(MODE)
            - --node=$(NODE)
            - --namespace=$(NAMESPACE)
            {{- range .slots }}
            - --slot={{ . }}
            {{- end }}
            {{- range .after }}
            - --after={{ . }}
            {{- end }}
            {{- range .afterSlots }}
            - --after-slot={{ . }}
            {{- end }}
            {{- if $root.Values.startupTaint.enabled }}
            - --remove-taint={{ include "taint" $root }}
            {{- end }}
            {{- with .group.profile }}
            - --profile={{ . }}
            {{- end }}
            - --host-root=/proc/1/root
            - --config=/etc/gcp-sa-credential-provider/credential-provider-config.yaml
            - --ready-file=/run/agent/ready
          env:
            # The Job before `helm uninstall` changes this one: a pod that merely ends takes nothing off.
            - name: MODE
              value: {{ default "install" .group.mode }}
            - name: NODE
              valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
            - name: NAMESPACE
              valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
            {{- with include "apiServer" $root }}
            {{- . | trim | nindent 12 }}
            {{- end }}
          # Ready means: this node is done. It may wait its turn for as long as that takes.
          startupProbe:
            exec:
              command:
                - /gcp-sa-credential-provider
                - node
                - agent
                - --check
                - --ready-file=/run/agent/ready
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2147483647
          terminationMessagePolicy: FallbackToLogsOnError
          resources:
            {{- toYaml $root.Values.resources | nindent 12 }}
          # docs/helm.md, "What the agent may do", has the reason for each.
          securityContext:
            privileged: false
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsUser: 0
            runAsGroup: 0
            capabilities:
              drop: [ALL]
              add: [CHOWN, DAC_OVERRIDE, SYS_CHROOT, SYS_PTRACE]
            seccompProfile: {type: RuntimeDefault}
            appArmorProfile: {type: Unconfined}
            seLinuxOptions: {type: spc_t}
          volumeMounts:
            - name: config
              mountPath: /etc/gcp-sa-credential-provider
              readOnly: true
            - name: run
              mountPath: /run/agent
      volumes:
        - name: config
          configMap:
            name: "{{ include "name" $root }}-{{ .group.name }}"
        - name: run
          emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end -}}
