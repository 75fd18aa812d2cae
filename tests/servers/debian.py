"""Debian's packages without installing them: unpacked below .cache/debian, called through wrappers in .cache/bin."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.servers import BIN, CACHE

WORK = CACHE / "debian"
TREE = WORK / "tree"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One program tests use: the packages it is in and where it lies in them."""

    packages: tuple[str, ...]
    binary: str
    # Further files it is of no use to us without, as patterns below /.
    needs: tuple[str, ...] = ()


PROGRAMS = {
    "rsyslogd": Program(("rsyslog", "rsyslog-relp"), "usr/sbin/rsyslogd", ("usr/lib/*/rsyslog/omrelp.so",)),
    "haproxy": Program(("haproxy",), "usr/sbin/haproxy"),
    "nginx": Program(("nginx-light",), "usr/sbin/nginx"),
    # /usr/bin/chromium is a script that reads /etc; the browser itself is here.
    "chromium": Program(("chromium", "fonts-dejavu-core"), "usr/lib/chromium/chromium"),
    # The daemon calls containerd, runc and its other parts by name: see _environment.
    "dockerd": Program(("docker.io", "containerd", "runc", "tini", "iptables"), "usr/sbin/dockerd"),
    # The command of the same packages as the daemon: a newer one does not speak to an old daemon.
    "docker": Program(("docker.io",), "usr/bin/docker", ("usr/*bin/dockerd",)),
    # The one program in the containers of tests: another package of this name is not static.
    "busybox": Program(("busybox-static",), "bin/busybox", ("usr/share/doc/busybox-static",)),
    "prometheus": Program(("prometheus",), "usr/bin/prometheus"),
    # Shells that complete our commands.
    "zsh": Program(("zsh",), "bin/zsh", ("usr/share/zsh/functions",)),
    "fish": Program(("fish",), "usr/bin/fish", ("usr/share/fish/functions",)),
    "mvn": Program(("maven",), "usr/share/maven/bin/mvn"),
}
SERVERS = ("rsyslogd", "haproxy", "nginx", "chromium", "dockerd", "docker", "busybox", "prometheus", "zsh", "fish")

# All that apt would write to, and the hooks by which a distribution's image cleans the system's own cache.
APT_CONFIG = """
Dir::State::lists "{work}/lists";
Dir::Cache "{work}";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
"""

FONTS_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>{tree}/usr/share/fonts</dir>
  <cachedir>{work}/fontcache</cachedir>
</fontconfig>
"""


def search_path() -> str:
    """Where programs are looked for: ours, PATH, and the folders of servers that only root has in its PATH."""
    return os.pathsep.join((str(BIN), os.environ.get("PATH", os.defpath), *SYSTEM_PATH))


def find(name: str) -> str | None:
    """The path of a program, from .cache/bin or from the system; None when it is nowhere."""
    if (BIN / name).exists():
        return str(BIN / name)
    return _in_system(name)


def provide(names: Iterable[str], say: Say = print) -> None:
    """Get those of the programs that neither the system nor .cache has; what cannot be had is said in one line."""
    wanted = []
    for name in names:
        if found := find(name):
            say(f"{name}: {found}")
        else:
            wanted.append(name)
    if not wanted:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say(f"missing, and this is not Debian: {', '.join(wanted)}")
        return
    packages = [package for name in wanted for package in PROGRAMS[name].packages]
    say(f"{', '.join(wanted)}: getting Debian packages {' '.join(packages)} into {WORK}")
    try:
        _unpack(_download(packages), say)
    except subprocess.CalledProcessError as error:
        say(f"missing: {', '.join(wanted)}: {_last_line(error.stderr)}")
        return
    for name in wanted:
        say(f"{name}: {_write_wrapper(name)}")


def _in_system(name: str) -> str | None:
    folders = [folder for folder in search_path().split(os.pathsep) if folder != str(BIN)]
    found = shutil.which(name, path=os.pathsep.join(folders))
    complete = all(any(Path("/").glob(pattern)) for pattern in PROGRAMS[name].needs)
    return found if complete else None


def _download(packages: list[str]) -> list[Path]:
    """The archives of the packages and of all they need that this system has not."""
    for folder in ("lists/partial", "archives/partial"):
        (WORK / folder).mkdir(parents=True, exist_ok=True)
    config = WORK / "apt.conf"
    config.write_text(APT_CONFIG.format(work=WORK))
    apt = ["apt-get", "-c", str(config), "-qq"]
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--download-only", "--no-remove", *packages])
    return sorted((WORK / "archives").glob("*.deb"))


def _unpack(archives: list[Path], say: Say) -> None:
    say(f"unpacking {len(archives)} packages")
    TREE.mkdir(exist_ok=True)
    for archive in archives:
        _run(["dpkg-deb", "-x", str(archive), str(TREE)])
    for path in TREE.rglob("*"):
        if path.is_symlink() and (target := path.readlink()).is_absolute():
            _point_into_tree(path, target)
    for folder in ("lists", "archives"):
        shutil.rmtree(WORK / folder)


def _point_into_tree(link: Path, target: Path) -> None:
    ours = TREE / target.relative_to("/")
    if os.path.lexists(ours):
        link.unlink()
        link.symlink_to(os.path.relpath(ours, link.parent))


def _libraries() -> str:
    """The folders of unpacked shared libraries; packages' own sub-folders (pulseaudio) are found by absolute paths."""
    folders = [*TREE.glob("lib/*-linux-gnu*"), *TREE.glob("usr/lib/*-linux-gnu*")]
    own = [folder for parent in folders for folder in parent.iterdir() if any(folder.glob("lib*.so*"))]
    return ":".join(str(folder) for folder in [*folders, *sorted(own)])


def _environment(name: str) -> dict[str, str]:
    if name == "rsyslogd":
        modules = next(TREE.glob("usr/lib/*/rsyslog"))
        return {"RSYSLOG_MODDIR": str(modules)}
    if name == "chromium":
        (WORK / "fonts.conf").write_text(FONTS_CONFIG.format(tree=TREE, work=WORK))
        home = str(WORK / "chromium")
        return {"FONTCONFIG_FILE": str(WORK / "fonts.conf"), "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
    if name == "zsh":  # it takes the folder of its modules from no variable
        folders = " ".join(str(folder) for folder in sorted(TREE.glob("usr/share/zsh/functions/**/")))
        modules = next(TREE.glob("usr/lib/*/zsh/*/zsh")).parent
        (WORK / "zsh").mkdir(exist_ok=True)
        (WORK / "zsh/.zshenv").write_text(f"module_path=({modules})\nfpath=({folders})\n")
        return {"ZDOTDIR": str(WORK / "zsh")}
    if name == "fish":  # it takes its own files when share and etc are beside its bin
        if not (TREE / "usr/etc").exists():
            (TREE / "usr/etc").symlink_to("../etc")
        return {"XDG_CONFIG_HOME": str(WORK / "fish"), "XDG_DATA_HOME": str(WORK / "fish")}
    if name == "dockerd":
        return {"PATH": os.pathsep.join((f"{TREE}/usr/sbin", f"{TREE}/usr/bin", os.defpath, *SYSTEM_PATH))}
    return {}


def _write_wrapper(name: str) -> Path:
    """A script that becomes the program (exec), so that its process id is the server's."""
    lines = ["#!/bin/sh"]
    lines.append(f'export LD_LIBRARY_PATH={shlex.quote(_libraries())}"${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"')
    lines += [f"export {key}={shlex.quote(value)}" for key, value in _environment(name).items()]
    lines.append(f'exec {shlex.quote(str(TREE / PROGRAMS[name].binary))} "$@"')
    BIN.mkdir(parents=True, exist_ok=True)
    wrapper = BIN / name
    new = wrapper.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o755)
    new.rename(wrapper)  # written last and whole: the wrapper is the stamp
    return wrapper


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)


def _last_line(text: str | None) -> str:
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else "the package manager failed"
