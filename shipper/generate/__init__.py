"""What shipper writes on hosts and clusters. One file per program, each with `Settings` and `generate`.

`generate(settings) -> dict[path, text]`: the same settings give the same bytes. What the defaults give is committed
(`rsyslog/`), and a test compares.
"""

from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[str, str], directory: Path) -> list[Path]:
    """Write generated files below a directory; scripts can be run. Returns their paths."""
    written = []
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)
        written.append(path)
    return written
