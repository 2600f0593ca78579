#!/bin/sh
# Train in a RunPod pod, then delete the pod. A watchdog deletes it after its deadline, whatever the training does.
# RunPod sets RUNPOD_POD_ID and RUNPOD_API_KEY (a key of this pod alone); without them the container only ends.
set -u

end_pod() {
  if [ -z "${RUNPOD_API_KEY:-}" ] || [ -z "${RUNPOD_POD_ID:-}" ]; then
    return 0
  fi
  url="${RUNPOD_API_URL:-https://api.runpod.io}/v2/pods/$RUNPOD_POD_ID"
  until code=$(curl -s -o /dev/null -w '%{http_code}' -m 30 -X DELETE \
      -H "Authorization: Bearer $RUNPOD_API_KEY" "$url") && { [ "$code" = 204 ] || [ "$code" = 404 ]; }; do
    sleep 10
  done
}

watch_deadline() {
  while [ "$(date +%s)" -lt "$((TRAINING_DEADLINE + ${WATCHDOG_GRACE_S:-120}))" ]; do
    sleep "${WATCHDOG_POLL_S:-15}"
  done
  echo '{"event": "watchdog", "n": 0}'
  end_pod
  kill -KILL "$1" 2>/dev/null
}

"${PYTHON:-python}" -m securetag.training.launchers.runpod.pod &
training=$!
watch_deadline "$training" &
watchdog=$!
trap 'kill -TERM "$training" 2>/dev/null' TERM INT
wait "$training"
code=$?
kill "$watchdog" 2>/dev/null
end_pod
exit "$code"
