# The program alone: built in Debian, shipped on nothing. Works with BuildKit and without.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
# The compiler first: this layer stays while the sources change.
COPY tools/install-deps tools/
COPY tools/apt/build.txt tools/apt/
RUN tools/install-deps tools/apt/build.txt && rm -rf /var/lib/apt/lists/*
COPY . .
RUN tools/build release && tools/check-hardening.sh build/docker-socket-proxy
ARG VERSION=unknown
# The time of the commit, for the files of the image.
ARG SOURCE_DATE_EPOCH=0
RUN tools/image-root build/docker-socket-proxy /image && \
    mkdir -p /folders/docker-socket-proxy && touch -d "@$SOURCE_DATE_EPOCH" /folders /folders/docker-socket-proxy && \
    case "$VERSION" in unknown | "$(/image/docker-socket-proxy --version | cut -d ' ' -f 2)") ;; \
    *) echo "the program is not version $VERSION" >&2 && exit 1 ;; esac

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="docker-socket-proxy" \
      org.opencontainers.image.description="Filtering proxy for the Docker Engine's socket" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/ /
# For unix listeners and for the audit record: a new volume that is mounted here gets this owner.
COPY --from=build --chown=65532:65532 /folders/ /run/
COPY --from=build --chown=65532:65532 /folders/ /var/log/
# Numeric, so that Kubernetes can see that it is not root. It opens the Engine's socket through a
# group: docker run --group-add "$(stat -c %g /var/run/docker.sock)"
USER 65532:65532
EXPOSE 3277
# During the start period Engines from 25 on check every 5 s, so that service_healthy comes quickly.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/docker-socket-proxy", "healthcheck"]
ENTRYPOINT ["/docker-socket-proxy"]
