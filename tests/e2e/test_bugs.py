"""A bug outside the fence stops the process, so that it is started again: nothing limps on with deaf connections."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.servers.process import ServerFailed

_PROGRAM = """
import sys
from shipper.cli import main
from shipper.wire.relp import RelpServer

def broken(self, data):
    raise RuntimeError("a bug in the wire")

RelpServer.receive_data = broken
sys.exit(main(["run", "--config", sys.argv[1]]))
"""


def test_a_bug_in_a_callback_ends_the_process(run_dir: Path) -> None:
    config = run_dir / "shipper.yaml"
    config.write_text(
        f"sources: [{{type: relp, port: 0}}]\nstore: {{type: sqlite, path: {run_dir}/data}}\napi: {{enabled: false}}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, config], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        try:
            assert process.stderr is not None
            started = next(line for line in process.stderr if '"started"' in line)
            port = int(started.partition('"relp":"127.0.0.1:')[2].partition('"')[0])
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.sendall(b"1 open 0\n")
                rest = process.stderr.read()
            assert process.wait(20) == 1
            assert "a bug in the wire" in rest
        except subprocess.TimeoutExpired:
            raise ServerFailed("still running after a bug") from None
        finally:
            process.kill()
