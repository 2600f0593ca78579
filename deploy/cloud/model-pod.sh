#!/bin/sh
# Run Ollama and the proxy in front of it; when one ends, the pod ends, and RunPod starts it again.
set -eu
if [ -z "${MODEL_API_KEY:-}" ]; then
  echo "MODEL_API_KEY is not set: the model would be open to anybody" >&2
  exit 2
fi
/bin/ollama serve &
ollama=$!
caddy run --config /etc/caddy/Caddyfile --adapter caddyfile &
caddy=$!
trap 'kill "$ollama" "$caddy" 2>/dev/null || true' EXIT INT TERM
while kill -0 "$ollama" 2>/dev/null && kill -0 "$caddy" 2>/dev/null; do
  sleep 2
done
