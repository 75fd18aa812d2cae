"""Real servers for tests: `python -m tests.servers` gets them into .cache, the modules here start and stop them."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
BIN = CACHE / "bin"
