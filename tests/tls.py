"""A CA of a test's own and certificates that it signs, made with the openssl command as an operator makes them."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.available import unavailable

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
#: What strict clients want of a certificate that is no CA's.
_EXTENSIONS = (
    "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM files."""

    certificate: str
    key: str

    @property
    def source(self) -> dict[str, str]:
        """As settings of a source's `tls`."""
        return {"certificate": self.certificate, "key": self.key}


class Authority:
    """A CA in a folder, and what it signs."""

    def __init__(self, folder: Path, name: str = "test CA") -> None:
        if shutil.which("openssl") is None:
            unavailable("no command openssl on this machine")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate = str(folder / "ca.pem")
        self.key = str(folder / "ca.key")
        self._openssl(
            "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.certificate,
        )  # fmt: skip

    def pair(self, name: str) -> Pair:
        """Return what was signed before."""
        return Pair(f"{self._folder / name}.pem", f"{self._folder / name}.key")

    def sign(self, name: str, file: str = "", days: int = 2, alternative: bool = True) -> Pair:
        """Return a certificate for `name` (SAN, unless not `alternative`, and CN); a negative `days` is over."""
        base = self._folder / (file or name)
        pair = self.pair(file or name)
        extensions = _EXTENSIONS + (f"subjectAltName=DNS:{name}\n" if alternative else "")
        Path(f"{base}.ext").write_text(extensions)
        self._openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", pair.key, "-out", f"{base}.csr")
        self._openssl(
            "x509", "-req", "-in", f"{base}.csr", "-days", str(days), "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-extfile", f"{base}.ext", "-out", pair.certificate,
        )  # fmt: skip
        return pair

    def host(self, name: str, library: str, peer: str, **signed: int) -> dict[str, str]:
        """Return a host's settings for RELP over TLS: a certificate for `name`, a shipper that is called `peer`."""
        pair = self.sign(name, **signed)  # type: ignore[arg-type]
        return {
            "tls": library, "tls_ca": self.certificate, "tls_cert": pair.certificate, "tls_key": pair.key,
            "tls_peer": peer,
        }  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
