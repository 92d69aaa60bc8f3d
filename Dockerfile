# SPDX-License-Identifier: Apache-2.0
# Two stages: the first builds from this directory, the second holds the
# program and the libraries it loads. Runs as uid 10001 on a read-only root.
# Once for each data volume, with a name of its own for its decision log, and
# then the sidecar:
#
#   docker run --rm -v bailiff-data:/var/lib/bailiff bailiff \
#     init --origin bailiff/payments-1
#   docker run --read-only --cap-drop=ALL --security-opt no-new-privileges \
#     -v ./bailiff.yaml:/etc/bailiff/bailiff.yaml:ro \
#     -v bailiff-data:/var/lib/bailiff -v bailiff-run:/run/bailiff bailiff
FROM debian:trixie-slim AS build
WORKDIR /src
COPY . .
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends make \
    && tests/lib/install-deps build \
    && make -j2 all \
    && make install DESTDIR=/out PREFIX=/usr
# The packages that hold the libraries it loads.
RUN ldd /out/usr/bin/bailiff | awk '$2 == "=>" {print $3}' \
    | xargs -r readlink -f | xargs -r dpkg -S | cut -d: -f1 | sort -u \
    > /out/packages

FROM debian:trixie-slim
COPY --from=build /out/packages /tmp/packages
RUN apt-get update -qq \
    && xargs apt-get install -qq -y --no-install-recommends ca-certificates \
        < /tmp/packages \
    && rm -rf /var/lib/apt/lists/* /tmp/packages \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/bailiff \
    && install -d -m 0755 -o 10001 -g 10001 /run/bailiff \
    && install -d -m 0755 /etc/bailiff
COPY --from=build /out/usr/bin/bailiff /usr/bin/bailiff
USER 10001:10001
VOLUME ["/var/lib/bailiff", "/run/bailiff"]
EXPOSE 8443 9443 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/bailiff"]
CMD ["run", "-c", "/etc/bailiff/bailiff.yaml"]
