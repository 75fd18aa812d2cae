"""The client of Elasticsearch as it is set: no sniffing, nodes that rest, certificates that are checked."""

import ssl
from pathlib import Path

import pytest

from shipper.errors import StoreBusy
from shipper.stores import _elasticsearch_nodes as nodes
from shipper.stores._elasticsearch_server import Server
from shipper.stores.elasticsearch import Config
from tests.tls import Authority
from tests.unit.elasticsearch_world import PASSWORD, USER, elasticsearch


def settings(*urls: str, **more: str) -> Config:
    return Config.model_validate({"type": "elasticsearch", "urls": list(urls), **more})


async def test_nothing_is_sniffed() -> None:
    """The client asks for other nodes only when told to; we say that it shall not, and it does not."""
    async with elasticsearch() as fake:
        login = {"username": USER, "password": PASSWORD}
        server = Server(settings(fake.url, "http://127.0.0.1:1", **login))
        try:
            transport = server._client.transport
            sniffing = (transport._sniff_on_start, transport._sniff_before_requests, transport._sniff_on_node_failure)
            assert sniffing == (False, False, False)
            for _ in range(8):
                assert await server.request("GET", "/_cluster/health") == (200, {})
            assert len(transport.node_pool) == 2
        finally:
            await server.close()
        assert set(fake.asked) == {"GET /_cluster/health"}


async def test_all_nodes_are_dead() -> None:
    server = Server(settings("http://127.0.0.1:1", "http://127.0.0.1:2"))
    try:
        for _ in range(3):
            with pytest.raises(StoreBusy, match="Cannot connect to host 127"):
                await server.request("GET", "/")
    finally:
        await server.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_is_checked_for_names_and_numbers(tmp_path: Path, host: str) -> None:
    ca = Authority(tmp_path / "ca").certificate
    client = nodes.client(settings(f"https://{host}:9200", ca_certs=ca))
    try:
        (node,) = client.transport.node_pool.all()
        context: ssl.SSLContext = vars(node)["_ssl_context"]
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
    finally:
        await client.close()
