# The images `gateway` (the default) and `emulator`. Both hold a static program and no distribution.
#
#   docker build --tag agb-gateway .
#   docker build --tag agb-emulator --target emulator .
#
# Without a registry to take the build stage's image from, scripts/image builds with this machine's own tools, and the same final
# stages: the build argument ROOTS then names an image that has what scripts/image-root lays out.
ARG ROOTS=build

FROM docker.io/library/rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends bash-static busybox-static ca-certificates python3
WORKDIR /src
COPY . .
RUN scripts/image-root /roots

FROM ${ROOTS} AS roots

FROM scratch AS emulator
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="agb-emulator" \
      org.opencontainers.image.description="A stand-in for the AGB cloud sandbox API, for playgrounds and tests" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=roots /roots/emulator/ /
USER 65532:65532
EXPOSE 7070
ENTRYPOINT ["/agb-emulator"]
CMD ["--listen", "0.0.0.0:7070", "--no-admin"]

FROM scratch AS gateway
ARG VERSION=0.1.0
ARG REVISION=unknown
# The software bill of materials is /sbom.cdx.json (CycloneDX).
LABEL org.opencontainers.image.title="agb-gateway" \
      org.opencontainers.image.description="A gRPC gateway between internal services and the AGB cloud sandbox API" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=roots /roots/gateway/ /
USER 65532:65532
EXPOSE 50051
ENTRYPOINT ["/agb-gateway"]
CMD ["serve"]
