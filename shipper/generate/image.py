"""The recipe of the product's image: small, without build tools, and nothing in it may be written to."""

from typing import Final

from shipper.generate._cluster_settings import Settings

#: User and group of the product in its image.
USER_ID: Final = 10001


def generate(settings: Settings) -> dict[str, str]:
    """Return the recipe and what is kept from it, by path; the same for all settings."""
    del settings
    return {
        "Dockerfile": _DOCKERFILE.replace("@user@", str(USER_ID)),
        "Dockerfile.dockerignore": _IGNORED,
    }


_DOCKERFILE: Final = """\
# Written by `shipper generate marathon`.
#   docker build --file marathon-apps/Dockerfile --tag shipper:0.1.0 .
# Run it with a root file system that nobody can write: docker run --read-only --tmpfs /tmp …

FROM python:3.11.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock ./
# Wheels only, each with the hash that the lock file names: nothing is compiled, and nothing else can slip in.
RUN python -m venv /opt/shipper \\
 && /opt/shipper/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml LICENSE ./
COPY shipper ./shipper
RUN /opt/shipper/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \\
 && /opt/shipper/bin/pip install --no-deps --no-index /wheels/*.whl \\
 && /opt/shipper/bin/pip uninstall --yes setuptools pip

FROM python:3.11.11-slim-bookworm AS product
RUN python -m pip uninstall --yes setuptools wheel pip \\
 && groupadd --gid @user@ shipper \\
 && useradd --uid @user@ --gid @user@ --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin shipper
COPY --from=build /opt/shipper /opt/shipper
ENV PATH=/opt/shipper/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER @user@:@user@
EXPOSE 5140 8080
# Marathon gives the HTTP port as the second of two, or as the only one; by hand it is 8080. Every start has it set.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\
  CMD ["python", "-c", "import os, urllib.request as ask; e = os.environ; port = e.get('PORT1') or e.get('PORT0') or \\
'8080'; ask.urlopen(f'http://127.0.0.1:{port}/health', timeout=4)"]
# No ENTRYPOINT: Marathon's `cmd` is run by /bin/sh, which an entry point of ours would get as its argument.
CMD ["shipper", "run"]

# What a host runs, for compose.yaml: real hosts have these programs as packages. Root, as `shipper host` must be.
FROM product AS host
USER root
# hadolint ignore=DL3002,DL3008
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends rsyslog rsyslog-relp haproxy \\
 && rm -rf /var/lib/apt/lists/*
HEALTHCHECK NONE
CMD ["shipper", "host", "run", "--config", "/etc/shipper/host.json"]

# The last stage is what `docker build` makes when none is named.
FROM product
"""

_IGNORED: Final = """\
# Written by `shipper generate marathon`: the recipe sees these and nothing else.
*
!requirements.lock
!pyproject.toml
!LICENSE
!shipper
**/__pycache__
"""
