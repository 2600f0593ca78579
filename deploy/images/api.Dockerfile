# The HTTP api, and the one-time commands of a deployment: migrations, tenants, keys. Without torch.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/securetag/.venv && python -m venv /opt/sbom
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
RUN /opt/sbom/bin/pip install --no-cache-dir -c constraints.txt cyclonedx-bom
COPY securetag securetag
RUN /opt/securetag/.venv/bin/pip install --no-cache-dir -c constraints.txt '.[api]' \
    && /opt/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --output-file /opt/securetag/sbom.json /opt/securetag/.venv/bin/python

FROM python:3.11.14-slim-bookworm
# Volumes take the owner of the folder that they cover when they are first mounted.
RUN install -d -o 10001 -g 10001 /var/lib/securetag /var/lib/securetag-keys
COPY --from=build /opt/securetag /opt/securetag
ENV PATH=/opt/securetag/.venv/bin:$PATH
WORKDIR /var/lib/securetag
USER 10001:10001
EXPOSE 8080
CMD ["securetag", "api"]
