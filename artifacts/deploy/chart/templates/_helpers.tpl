{{/* A file that kustomize uses too, in the namespace of the release. */}}
{{- define "file" -}}
{{ .context.Files.Get (printf "files/%s.yaml" .name) | replace "clusterpedia-system" .context.Release.Namespace }}
{{- end }}

{{/* The Secret that the server's certificate is in. */}}
{{- define "certificateSecret" -}}
{{ eq .Values.certificate.mode "secret" | ternary .Values.certificate.secretName "policy-apiserver-serving-cert" }}
{{- end }}
