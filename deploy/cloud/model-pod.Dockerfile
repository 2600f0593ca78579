# The image of a RunPod pod: Ollama on loopback, and in front of it Caddy, which asks for a key.
# RunPod's proxy is public, and Ollama has no accounts.
#
#   docker build -f deploy/cloud/model-pod.Dockerfile -t REGISTRY/securetag-model-pod:1 deploy/cloud
#   docker push REGISTRY/securetag-model-pod:1        then SECURETAG_CLOUD__POD_IMAGE=REGISTRY/securetag-model-pod:1
FROM caddy:2.10.2 AS caddy

FROM ollama/ollama:0.34.1
COPY --from=caddy /usr/bin/caddy /usr/local/bin/caddy
COPY Caddyfile /etc/caddy/Caddyfile
COPY --chmod=755 model-pod.sh /usr/local/bin/model-pod
RUN install -d -o 10001 -g 10001 /models /tmp/caddy
ENV OLLAMA_HOST=127.0.0.1:11435 OLLAMA_MODELS=/models HOME=/tmp XDG_CONFIG_HOME=/tmp/caddy XDG_DATA_HOME=/tmp/caddy
USER 10001:10001
EXPOSE 11434
ENTRYPOINT ["/usr/local/bin/model-pod"]
