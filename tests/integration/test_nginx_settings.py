"""The real nginx reads the configuration of every combination of settings without a word."""

import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.tls import Authority
from tests.unit.marathon_apps import files


@pytest.mark.parametrize("auth", ["none", "basic", "header"])
def test_nginx_takes_every_combination(nginx: str, run_dir: Path, auth: str) -> None:
    (run_dir / "secrets/front").mkdir(parents=True)
    (run_dir / "secrets/front/secret.conf").write_text('proxy_set_header X-Shipper-Proxy-Secret "x";')
    pair = Authority(run_dir / "ca").sign("localhost")
    tls: dict[str, object] = {"front_tls_certificate": pair.certificate, "front_tls_key": pair.key}
    trusted = ["10.0.0.7,fd00::/8"] if auth == "header" else ["", "10.0.0.7,fd00::/8"]
    for has_tls, kibana, addresses in product((False, True), (False, True), trusted):
        settings: dict[str, object] = {"front_auth": auth, "kibana": kibana, "front_trusted": addresses}
        settings |= {"secrets_directory": str(run_dir / "secrets"), **(tls if has_tls else {})}
        config = run_dir / "nginx.conf"
        config.write_text(files(**settings)["marathon-apps/nginx.conf"])
        argv = [nginx, "-t", "-q", "-p", f"{run_dir}/", "-c", str(config), "-e", "stderr"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), settings
