# The `backstitch` server and `replay-tool` in a small image. Journal in /data, port 8080.
# Inside a container the server must listen beyond loopback, which it refuses to do without
# authentication unless told; compose.yaml shows how and what it means.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
# The caches keep the registry and the compiled dependencies between builds; they are no part
# of the image, so the binaries are copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked \
    && install -D -t /out target/release/backstitch target/release/replay-tool

FROM debian:bookworm-slim
# Root certificates, for workflows whose steps call https services.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin backstitch \
    && install -d -o backstitch -g backstitch -m 0750 /data
COPY --from=build /out/backstitch /out/replay-tool /usr/local/bin/
COPY LICENSE /usr/share/doc/backstitch/LICENSE
USER backstitch
ENV BACKSTITCH_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
# Ready means that the journal is open and work is taken, so a long recovery gets its time.
# bash speaks to the port itself: the image carries no HTTP client.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /ready HTTP/1.1\\r\\nHost: 127.0.0.1:8080\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
# SIGTERM, docker's default, drains: running steps end or are left to the next start.
ENTRYPOINT ["backstitch"]
CMD ["serve"]
