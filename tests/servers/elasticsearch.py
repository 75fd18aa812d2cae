"""The real Elasticsearch, in the small build its makers publish for tests: fetched once, started on free ports."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.servers import CACHE, debian, java
from tests.servers.process import START_SECONDS, Process, free_port
from tests.servers.reading import read_whole

# Each version and the oldest Java it runs on.
VERSIONS = {"8.19.9": 17, "9.2.0": 21}
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
UNPRIVILEGED = "nobody"
#: A server of tests lives for minutes: the second compiler would take half its processor time and never give it back.
QUICK_START = "-Xms512m -Xmx512m -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch"
#: A server that is measured is compiled as one in production is.
MEASURED = "-Xms512m -Xmx512m"
MEASURED_LARGE = "-Xms4g -Xmx4g"

Say = Callable[[str], None]


def home(version: str) -> Path:
    """Where a version is, or would be, unpacked."""
    return CACHE / f"elasticsearch-{version}"


def missing(version: str) -> str | None:
    """Why this version cannot be started here; None when it can."""
    if java.lowest(VERSIONS[version]) is None:
        return f"Elasticsearch {version} needs Java {VERSIONS[version]} or newer"
    if not home(version).exists():
        return f"Elasticsearch {version} is not in .cache (make servers)"
    return None


def fetch(version: str, say: Say = print) -> None:
    """Get a version into .cache with maven; what is missing for that is said in one line."""
    if home(version).exists():
        say(f"elasticsearch {version}: {home(version)}")
        return
    mvn, runtime = debian.find("mvn"), java.lowest(17)
    if mvn is None or runtime is None:
        say(f"missing: elasticsearch {version}: fetching it needs maven and Java 17 or newer")
        return
    say(f"elasticsearch {version}: fetching with maven (95 MB)")
    download = CACHE / "download"
    argv = [mvn, "-q", "-B", f"-Dmaven.repo.local={CACHE / 'm2'}", "dependency:copy"]
    argv += [f"-Dartifact={ARTIFACT.format(version=version)}", f"-DoutputDirectory={download}"]
    env = {**os.environ, "JAVA_HOME": str(runtime)}
    env["MAVEN_OPTS"] = f"{os.environ.get('MAVEN_OPTS', '')} {java.trust_options(runtime)}".strip()
    done = subprocess.run(argv, cwd=CACHE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        say(f"missing: elasticsearch {version}: {errors[0] if errors else 'maven failed'}")
        return
    _unpack(download / f"elasticsearch-{version}.zip", home(version))
    shutil.rmtree(download)
    shutil.rmtree(CACHE / "m2" / "org" / "elasticsearch", ignore_errors=True)  # the same 95 MB again
    say(f"elasticsearch {version}: {home(version)}")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack with the file modes of the archive; the folder appears when it is complete."""
    work = target.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    with zipfile.ZipFile(archive) as files:
        for entry in files.infolist():
            # Readable for all: the server runs as another user when we are root.
            Path(files.extract(entry, work)).chmod((entry.external_attr >> 16 & 0o777) | 0o444)
    (work / target.name).rename(target)
    work.rmdir()


class Elasticsearch:
    """One server with folders of its own; it keeps its data over `stop` or `process.kill9()` and `start`."""

    def __init__(
        self,
        version: str,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        java_options: str = QUICK_START,
    ) -> None:
        """Lay out the folders in `directory`; edit `config` before `start` when the test needs users or keys."""
        runtime = java.lowest(VERSIONS[version])
        assert runtime is not None, missing(version)
        self.directory = directory
        self.java_options = java_options
        self.config = directory / "config"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.user = UNPRIVILEGED if os.geteuid() == 0 else None  # Elasticsearch refuses to run as root
        directory.chmod(0o755)
        self.home = _within_reach(home(version), directory, self.user)
        self.java = _within_reach(runtime, directory, self.user)
        self.settings = {**self._defaults(), **(settings or {})}
        self._lay_out()

    def _defaults(self) -> dict[str, str]:
        return {
            "http.port": str(self.port),
            "transport.port": str(free_port()),
            "network.host": "127.0.0.1",
            "discovery.type": "single-node",
            "path.data": str(self.directory / "data"),
            "path.logs": str(self.directory / "logs"),
            "path.repo": str(self.directory / "repo"),
            "xpack.security.enabled": "false",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }

    def _lay_out(self) -> None:
        shutil.copytree(self.home / "config", self.config)
        options = self.config / "jvm.options"
        # A module for vector search only, which not every Java carries.
        options.write_text(options.read_text().replace("20-:--add-modules=jdk.incubator.vector", ""))
        for name in ("data", "logs", "repo", "tmp"):
            (self.directory / name).mkdir()

    @property
    def env(self) -> dict[str, str]:
        """The environment of the server and of the commands in `home/bin`."""
        return {
            "ES_JAVA_HOME": str(self.java),
            "ES_JAVA_OPTS": self.java_options,
            "ES_PATH_CONF": str(self.config),
            "ES_TMPDIR": str(self.directory / "tmp"),
            "HOME": str(self.directory),
        }

    def start(self) -> None:
        """Start it and return when it answers (also when it answers that a password is needed)."""
        if self.user:
            for path in (self.directory, *self.config.rglob("*"), *self.directory.iterdir()):
                shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)
        read_whole(
            self.home / "lib", self.home / "modules", self.java / "lib" / "modules", self.java / "lib" / "server"
        )
        argv = [str(self.home / "bin" / "elasticsearch")]
        for key, value in self.settings.items():
            argv += ["-E", f"{key}={value}"]
        log = self.directory / "output.log"
        self.process = Process(argv, log=log, env=self.env, cwd=self.directory, user=self.user)
        try:
            self.process.wait_until(self._answers, START_SECONDS, "_cluster/health answers")
        except BaseException:
            self.process.kill9()
            raise

    def wait_recovered(self) -> None:
        """Return when all that was stored can be asked for again, after a start."""
        recovered = "_cluster/health?wait_for_status=yellow&timeout=1s"
        self.process.wait_until(lambda: self._says_yes(recovered), START_SECONDS, "every index can be asked")

    def stop(self) -> None:
        """Stop it and return when it has ended."""
        self.process.stop(seconds=30)

    def _answers(self) -> bool:
        return self._says_yes("_cluster/health")

    def _says_yes(self, target: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/{target}", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401
        except OSError:
            return False


@contextlib.contextmanager
def running(
    version: str, settings: Mapping[str, str] | None = None, java_options: str = QUICK_START
) -> Iterator[Elasticsearch]:
    """A started server in a folder of its own, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="shipper-es-", ignore_cleanup_errors=True) as directory:
        server = Elasticsearch(version, Path(directory), settings, java_options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _within_reach(path: Path, directory: Path, user: str | None) -> Path:
    """The path itself, or a copy in `directory` when the server's user may not enter a folder above it (as /root)."""
    if user is None or all(parent.stat().st_mode & 0o001 for parent in path.parents):
        return path
    return Path(shutil.copytree(path, directory / path.name, symlinks=True))
