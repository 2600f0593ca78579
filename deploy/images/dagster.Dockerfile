# Dagster's code location, webserver and daemon: sources, releases, training, evaluation, publishing.
FROM python:3.11.14-slim-bookworm AS build
# Where there is no GPU, an index of CPU builds of torch saves gigabytes.
ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /src
RUN python -m venv /opt/securetag/.venv && python -m venv /opt/sbom
COPY pyproject.toml constraints.txt requirements-data.txt README.md LICENSE NOTICE ./
RUN /opt/securetag/.venv/bin/pip install --no-cache-dir -c constraints.txt torch \
    && /opt/securetag/.venv/bin/pip install --no-cache-dir --no-deps -r requirements-data.txt \
    && /opt/sbom/bin/pip install --no-cache-dir -c constraints.txt cyclonedx-bom
COPY securetag securetag
RUN /opt/securetag/.venv/bin/pip install --no-cache-dir -c constraints.txt \
      '.[dagster,db,extractors,pdf,datasets,training,serving,evaluation]' \
    && /opt/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --output-file /opt/securetag/sbom.json /opt/securetag/.venv/bin/python

FROM python:3.11.14-slim-bookworm
RUN install -d -o 10001 -g 10001 /var/lib/securetag /var/lib/securetag/models /var/lib/securetag-data
COPY --from=build /opt/securetag /opt/securetag
ENV PATH=/opt/securetag/.venv/bin:$PATH
WORKDIR /var/lib/securetag
USER 10001:10001
EXPOSE 3000 4266
CMD ["securetag", "dagster", "code", "--host", "0.0.0.0"]
