"""Programs and libraries of Node.js that tests use: each in a folder of its own below .cache/node, fetched by npm."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers import CACHE

WORK = CACHE / "node"
FETCH_SECONDS = 600

Say = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """One package in one version, and the path tests use of it, below its node_modules."""

    name: str
    version: str
    path: str

    @property
    def home(self) -> Path:
        """The folder it is, or would be, installed in; the version is in its name, so a new one is fetched."""
        return WORK / f"{self.name.rpartition('/')[2]}-{self.version}"

    @property
    def found(self) -> Path:
        """Where the path tests use is, or would be."""
        return self.home / "node_modules" / self.path


PACKAGES = {
    # Holds the Kibana client and the fake Kibana to the contract: both talk through its proxy.
    "prism": Package("@stoplight/prism-cli", "5.14.2", ".bin/prism"),
    # What Kibana decodes its own addresses with.
    "rison_node": Package("rison-node", "2.1.1", "rison-node"),
}


def missing(name: str) -> str | None:
    """Why this package cannot be used here; None when it can."""
    if shutil.which("node") is None:
        return f"{name} needs node, which is not on this machine"
    if not PACKAGES[name].found.exists():
        return f"{name} is not in .cache (make servers; it needs npm)"
    return None


def fetch(name: str, say: Say = print) -> None:
    """Get a package into .cache with npm; what is missing for that is said in one line."""
    package = PACKAGES[name]
    if package.found.exists():
        say(f"{name}: {package.found}")
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        say(f"missing: {name}: fetching it needs node and npm, which are not on this machine")
        return
    say(f"{name}: fetching {package.name} {package.version} with npm")
    new = package.home.with_name(f"{package.home.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    if problem := _install(npm, package, new):
        say(f"missing: {name}: {problem}")
        return
    shutil.rmtree(package.home, ignore_errors=True)
    new.rename(package.home)  # the folder appears when it is complete
    say(f"{name}: {package.found}")


def _install(npm: str, package: Package, folder: Path) -> str | None:
    """Install into the folder, running nothing that packages bring; return what went wrong."""
    argv = [npm, "install", "--prefix", str(folder), "--no-save", "--no-package-lock", "--ignore-scripts"]
    argv += ["--no-audit", "--no-fund", "--no-progress", "--loglevel", "error", f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm took more than {FETCH_SECONDS} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[0] if lines else "npm failed"
    return None
