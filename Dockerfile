# syntax=docker/dockerfile:1
# The image of the server, from a git checkout with its history: the version is
# the tag or the commit.
#
#   docker buildx build --platform=linux/amd64,linux/arm64 --tag=REPOSITORY:TAG --push .

# Compiles on the machine that builds, for the platform that is asked for.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=true -ldflags="-s -w" -o /out/policy-apiserver ./cmd/policy-apiserver

FROM gcr.io/distroless/static:nonroot
LABEL org.opencontainers.image.title="policy-apiserver" \
      org.opencontainers.image.description="Imports the clusters of multi-cloud platforms into Clusterpedia" \
      org.opencontainers.image.source="https://github.com/clusterpedia-io/policy-apiserver" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/policy-apiserver /policy-apiserver
USER 65532:65532
EXPOSE 8443
ENTRYPOINT ["/policy-apiserver"]
