# A worker with Semgrep and Wapiti in environments of their own, where `securetag worker` looks for them.
# Without torch.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/securetag/.venv && python -m venv /opt/securetag/.venv-semgrep \
    && python -m venv /opt/securetag/.venv-wapiti && python -m venv /opt/sbom
COPY pyproject.toml constraints.txt constraints-semgrep.txt constraints-wapiti.txt README.md LICENSE NOTICE ./
RUN /opt/securetag/.venv-semgrep/bin/pip install --no-cache-dir -c constraints-semgrep.txt semgrep \
    && /opt/securetag/.venv-wapiti/bin/pip install --no-cache-dir -c constraints-wapiti.txt wapiti3 \
    && /opt/sbom/bin/pip install --no-cache-dir -c constraints.txt cyclonedx-bom
COPY securetag securetag
RUN /opt/securetag/.venv/bin/pip install --no-cache-dir -c constraints.txt '.[worker]' \
    && /opt/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --output-file /opt/securetag/sbom.json /opt/securetag/.venv/bin/python \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible \
      --output-file /opt/securetag/sbom-semgrep.json /opt/securetag/.venv-semgrep/bin/python \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible \
      --output-file /opt/securetag/sbom-wapiti.json /opt/securetag/.venv-wapiti/bin/python

FROM python:3.11.14-slim-bookworm
# Scans of a commit by its URL.
RUN apt-get update && apt-get install -y --no-install-recommends 'git=1:2.39.*' && rm -rf /var/lib/apt/lists/*
RUN install -d -o 10001 -g 10001 /var/lib/securetag /var/lib/securetag-keys
COPY --from=build /opt/securetag /opt/securetag
ENV PATH=/opt/securetag/.venv/bin:$PATH
WORKDIR /var/lib/securetag
USER 10001:10001
CMD ["securetag", "worker"]
