# The image of a RunPod pod that trains: Securetag with its training packages, and a start script that deletes
# the pod. No weights: they come from the Hugging Face hub, onto the volume of SECURETAG_CLOUD__TRAINING_VOLUME.
#
#   docker build -f deploy/runpod/train.Dockerfile -t REGISTRY/securetag-train:1 .
#   docker push REGISTRY/securetag-train:1      then SECURETAG_CLOUD__TRAINING_IMAGE=REGISTRY/securetag-train:1
FROM python:3.11.14-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends curl gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY securetag securetag
# torch first: with it in place no other package pulls another build. gcc compiles Triton's kernels at run time.
RUN pip install --no-cache-dir -c constraints.txt torch \
    && pip install --no-cache-dir -c constraints.txt '.[training,datasets]' \
    && pip install --no-cache-dir liger-kernel==0.8.5 bitsandbytes==0.49.2
COPY --chmod=755 deploy/runpod/start.sh /usr/local/bin/train-and-delete
ENV PYTHONUNBUFFERED=1 TRAINING_FOLDER=/workspace/training
ENTRYPOINT ["/usr/local/bin/train-and-delete"]
