"""The settings of a cluster: what may differ between clusters, checked before any of it stands in an app."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from shipper import __version__, config

_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:/[\w./-]*)?", re.ASCII
)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_VARIABLE: Final = re.compile(r"SHIPPER_[A-Z0-9_]{1,100}", re.ASCII)
_SOURCE: Final = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", re.ASCII)
_APP_PATH: Final = r"^(/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){1,8}$"
_IMAGE: Final = r"^[a-z0-9][A-Za-z0-9._:/@-]{0,254}$"
_PATH: Final = r"^(/[A-Za-z0-9._-]{1,255}){1,32}$"
_PRIVATE: Final = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]


def _port(number: int, description: str) -> int:
    port: int = Field(default=number, ge=1, le=65535, description=f"{description}: service port on 127.0.0.1")
    return port


class Settings(config.Settings):
    """What may differ between clusters. Every value is checked: it ends up in JSON that a shell reads later."""

    marathon: Literal["0.9.1", "1.4", "1.10"] = Field(
        default="1.10", description="newest of these that is not newer than the Marathon of the cluster"
    )
    group: str = Field(default="/shipper", pattern=_APP_PATH, description="path in Marathon below which the apps are")
    owner: str = Field(
        default="logging", pattern=r"^[A-Za-z0-9@#][A-Za-z0-9._@#-]{0,63}$", description="SHIPPER_OWNER of the apps"
    )
    cluster: str = Field(
        default="dev", pattern=r"^[a-z0-9][a-z0-9._]{0,62}$", description="name of the cluster: part of index names"
    )
    package: Literal["image", "archive"] = Field(
        default="image", description="how the product comes to a host: a Docker image, or an archive that Mesos fetches"
    )
    image: str = Field(default=f"shipper:{__version__}", pattern=_IMAGE, description="image of the product")
    archive: str = Field(
        default=f"file:///opt/shipper/shipper-{__version__}.tar.gz",
        pattern=r"^(https?|ftp|hdfs|file)://[A-Za-z0-9._:/@-]{1,1000}\.tar\.gz$",
        description="where Mesos fetches the archive, for package=archive",
    )
    shippers: int = Field(default=3, ge=1, le=1000, description="instances of the shipper, one per host")
    apis: int = Field(default=2, ge=1, le=100, description="instances of API and page")
    hosts: str = Field(
        default="", pattern=r"^[A-Za-z0-9.*|()\[\]?+\\-]{0,253}$", description="pattern of the hosts that may run them"
    )
    retention_days: int = Field(default=30, ge=1, le=3650, description="days that records are kept; labels may differ")
    drain_seconds: int = Field(default=20, ge=1, le=300, description="how long a shipper may take to finish at a stop")
    relp_port: int = _port(5140, "RELP of the shippers")
    shipper_port: int = _port(5141, "health and metrics of the shippers")
    api_port: int = _port(8090, "API and page")
    front_port: int = _port(8088, "nginx, in front of API and Kibana")
    kibana_port: int = _port(5601, "Kibana")
    elasticsearch_port: int = _port(9200, "Elasticsearch")
    elasticsearch: Literal["mesos", "elsewhere"] = Field(
        default="mesos", description="run Elasticsearch on Mesos, or use one that is elsewhere"
    )
    elasticsearch_urls: list[str] = Field(
        default=[], max_length=64, description="http://host:port of its nodes, for elasticsearch=elsewhere"
    )
    elasticsearch_hosts: list[str] = Field(
        default=["es-1", "es-2", "es-3"], min_length=1, max_length=64,
        description="hosts that run a node each, as Marathon names them",
    )  # fmt: skip
    elasticsearch_transport_port: int = Field(
        default=9300,
        ge=1024,
        le=65535,
        description="port of these hosts on which the nodes find each other; not one that Mesos offers",
    )
    elasticsearch_heap_mb: int = Field(default=2048, ge=256, le=31_744, description="Java heap of a node")
    elasticsearch_disk_mb: int = Field(default=100_000, ge=1000, le=10**8, description="volume of a node's data")
    elasticsearch_image: str = Field(
        default="docker.elastic.co/elasticsearch/elasticsearch:8.19.9", pattern=_IMAGE, description="8.19 or 9.x"
    )
    replicas: int = Field(default=1, ge=0, le=10, description="copies of an index beside the first")
    kibana: bool = Field(default=True, description="run Kibana")
    kibanas: int = Field(
        default=1, ge=1, le=16, description="instances of Kibana; more than one need secrets_directory"
    )
    kibana_ca: str = Field(
        default="", pattern=rf"^$|{_PATH}", description="file on the hosts: the CA of Elasticsearch, for Kibana"
    )
    kibana_image: str = Field(
        default="docker.elastic.co/kibana/kibana:8.19.9", pattern=_IMAGE, description="of Elasticsearch's version"
    )
    nginx_image: str = Field(default="nginx:1.28.0", pattern=_IMAGE, description="nginx, in front and as a sample")
    busybox_image: str = Field(default="busybox:1.36.1", pattern=_IMAGE, description="image of the date samples")
    front_names: list[str] = Field(
        default=["logs.localhost"], max_length=16, description="host names under which HAProxy sends requests to nginx"
    )
    front_url: str = Field(
        default="", max_length=300, description="address at which browsers reach nginx: https://logs.example"
    )
    front_auth: Literal["none", "basic", "header"] = Field(
        default="none",
        description="how nginx knows who asks: basic: by secrets_directory/front/htpasswd; header: a proxy in "
        "front_trusted says it in X-Forwarded-User; both need secrets_directory/front/secret",
    )
    front_trusted: list[str] = Field(
        default=[], max_length=64, description="addresses (CIDR) of proxies in front of nginx, whose word it takes"
    )
    front_networks: list[str] = Field(
        default=_PRIVATE, min_length=1, max_length=64,
        description="addresses (CIDR) of the hosts: from there the API hears nginx",
    )  # fmt: skip
    front_tls_certificate: str = Field(
        default="", pattern=rf"^$|{_PATH}", description="file on the hosts: certificate of nginx and its chain, PEM"
    )
    front_tls_key: str = Field(default="", pattern=rf"^$|{_PATH}", description="file on the hosts: its key, PEM")
    front_tls_port: int = _port(8443, "nginx with TLS, for front_tls_certificate; front_port then leads there")
    front_tails: int = Field(default=50, ge=1, le=10_000, description="live tails of one client at a time")
    haproxy: Literal["systemd", "app"] = Field(
        default="systemd", description="what runs `shipper haproxy` on the hosts; app: Marathon, one per host"
    )
    agents: int = Field(default=3, ge=1, le=10_000, description="hosts of the cluster, for haproxy=app")
    haproxy_group: str = Field(
        default="external", pattern=r"^[A-Za-z0-9_.-]{1,63}$", description="HAPROXY_GROUP of the apps"
    )
    host_program: str = Field(
        default="/opt/shipper/bin/shipper", pattern=_PATH, description="the command shipper on the hosts"
    )
    state_directory: str = Field(
        default="/var/lib/shipper", pattern=rf"^$|{_PATH}",
        description="directory of the hosts in which a shipper keeps what it knows of tasks; empty: none",
    )  # fmt: skip
    log_socket: str = Field(
        default="/run/shipper/log", pattern=_PATH, description="socket of the hosts that samples mount as /dev/log"
    )
    marathon_urls: list[str] = Field(
        default=["http://marathon.localhost:8080"], max_length=16, description="http://host:port of each Marathon"
    )
    mesos_urls: list[str] = Field(
        default=["http://mesos.localhost:5050"], max_length=16, description="http://host:port of each Mesos master"
    )
    secrets_directory: str = Field(
        default="", pattern=rf"^$|{_PATH}",
        description="directory of the hosts, mounted read-only, whose shipper.yaml holds what must not stand in apps",
    )  # fmt: skip
    elasticsearch_keys: bool = Field(
        default=False,
        description="give each app its file of `shipper setup keys`, in the folder elasticsearch of secrets_directory",
    )
    secrets: dict[str, str] = Field(
        default={}, max_length=64, description="SHIPPER_… variable=name of a Marathon secret, separated by commas"
    )

    @field_validator(
        "elasticsearch_urls", "elasticsearch_hosts", "front_names", "front_trusted", "front_networks",
        "marathon_urls", "mesos_urls", mode="before",
    )  # fmt: skip
    @classmethod
    def _list(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("secrets", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): source.strip() for name, _, source in pairs}

    @field_validator("elasticsearch_urls", "marathon_urls", "mesos_urls")
    @classmethod
    def _addresses(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not _URL.fullmatch(url):
                raise ValueError("must be http://host:port or https://host:port, without user and password")
        return urls

    @field_validator("front_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and (not _URL.fullmatch(url) or url.count("/") != 2):
            raise ValueError("must be http://host or https://host:port, without a path")
        return url

    @field_validator("front_trusted", "front_networks")
    @classmethod
    def _networks(cls, texts: list[str]) -> list[str]:
        refusal = "must be addresses or networks: 10.0.0.7, 10.0.0.0/24"
        if any("%" in text for text in texts):  # after it Python takes any text as the name of an interface
            raise ValueError(refusal)
        try:
            return [str(ipaddress.ip_network(text, strict=False)) for text in dict.fromkeys(texts)]
        except ValueError:
            raise ValueError(refusal) from None

    @field_validator("elasticsearch_hosts", "front_names")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        if not all(_HOST.fullmatch(name) for name in names) or len(set(names)) != len(names):
            raise ValueError("must be names of hosts, each once")
        return names

    @field_validator("hosts")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"no regular expression ({error})") from None
        return pattern

    @field_validator("secrets")
    @classmethod
    def _references(cls, secrets: dict[str, str]) -> dict[str, str]:
        for name, source in secrets.items():
            if not _VARIABLE.fullmatch(name) or not _SOURCE.fullmatch(source):
                raise ValueError("must be SHIPPER_NAME=path/of/secret; the value itself has no place here")
        return secrets

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.elasticsearch == "elsewhere" and not self.elasticsearch_urls:
            raise ValueError("elasticsearch_urls: must be given with elasticsearch=elsewhere")
        if self.secrets and self.marathon != "1.10":
            raise ValueError(f"secrets: Marathon {self.marathon} has none; use secrets_directory")
        self._front_fits()
        if self.elasticsearch_keys and not self.secrets_directory:
            raise ValueError("elasticsearch_keys: needs secrets_directory, where the files are")
        ports = [getattr(self, name) for name in type(self).model_fields if name.endswith("_port")]
        if len(set(ports)) != len(ports):
            raise ValueError("two ports are the same")
        return self

    def _front_fits(self) -> None:
        if bool(self.front_tls_certificate) != bool(self.front_tls_key):
            raise ValueError("front_tls_certificate and front_tls_key: give both or none")
        if self.front_auth != "none" and not self.secrets_directory:
            raise ValueError(f"front_auth: {self.front_auth} needs secrets_directory: its front/secret, front/htpasswd")
        if self.front_auth == "header" and not self.front_trusted:
            raise ValueError("front_auth: header needs front_trusted: anybody could name a user otherwise")
        if self.kibanas > 1 and not self.secrets_directory:
            raise ValueError("kibanas: several need secrets_directory: the same keys in its kibana/kibana.yml")


def read(values: Mapping[str, object]) -> Settings:
    """Return the settings that the values stand for; ConfigError names the key that is wrong."""
    return config.checked(Settings, values, "marathon")
