"""`python -m tests.servers`: get every server tests use into .cache; what is there already is left alone."""

import fcntl

from tests.servers import CACHE, debian, elasticsearch, java, node


def main() -> None:
    """Get what is missing, one process at a time, and say what is where."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "servers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        debian.provide(debian.SERVERS, say)
        if not all(elasticsearch.home(version).exists() for version in elasticsearch.VERSIONS):
            debian.provide(["mvn"], say)
        for version, needs in elasticsearch.VERSIONS.items():
            elasticsearch.fetch(version, say)
            say(f"elasticsearch {version} runs on {java.lowest(needs) or f'nothing here: it needs Java {needs}'}")
        for name in node.PACKAGES:
            node.fetch(name, say)


def say(line: str) -> None:
    """Show what is being done while it is done."""
    print(f"servers: {line}", flush=True)


if __name__ == "__main__":
    main()
