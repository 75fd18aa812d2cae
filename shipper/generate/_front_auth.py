"""How nginx in front knows who asks, and how it tells the API: by password, by an outer proxy, or not at all.

A token of the API (`Authorization: Bearer shp_…`) needs no password: the API looks at it, and nobody else gets it.
"""

from typing import Final

from shipper.generate._cluster_settings import Settings
from shipper.generate._front_start import PRIVATE

#: Whether the peer is a proxy whose word is taken; by the real peer, whatever address a header names.
_TRUSTED: Final = """\
  geo $realip_remote_addr $shipper_trusted {
    default 0;
@networks@  }
  map "$shipper_trusted $http_x_forwarded_proto" $shipper_scheme {
    default $scheme;
    "1 https" https;
  }
@from@  real_ip_header X-Forwarded-For;
  real_ip_recursive on;
"""
_NOBODY_TRUSTED: Final = """\
  map "" $shipper_scheme { default $scheme; }
"""
_NONE: Final = """\
  # Nobody is asked who they are: what a client says of a user is dropped, its token passed on.
  map "" $shipper_user { default ""; }
  map "" $shipper_authorization { default $http_authorization; }
"""
_BASIC: Final = """\
  # A password for people; programs send a token of the API, which the API looks at, and no other password goes on.
  map $http_authorization $shipper_authorization {
    default "";
    "~*^bearer shp_[A-Za-z0-9_-]+$" $http_authorization;
  }
  map $shipper_authorization $shipper_realm {
    default off;
    "" shipper;
  }
  map $shipper_authorization $shipper_user {
    default "";
    "" $remote_user;
  }
"""
_HEADER: Final = """\
  # The user whom a trusted proxy names; nobody else can. Tokens of the API are passed on.
  map "$shipper_trusted $http_x_forwarded_user" $shipper_user {
    default "";
    "~^1 (?<shipper_named>[!-+.-~-]{1,128})$" $shipper_named;
  }
  map $http_authorization $shipper_authorization {
    default "";
    "~*^bearer shp_[A-Za-z0-9_-]+$" $http_authorization;
  }
"""
_CLIENT: Final = """\
  map $shipper_user $shipper_client {
    default $shipper_user;
    "" $binary_remote_addr;
  }
  limit_conn_zone $shipper_client zone=shipper_tails:1m;
  limit_conn_status 429;
"""


def who_asks(settings: Settings) -> str:
    """Return the maps that say who asks: `$shipper_user`, `$shipper_authorization`, `$shipper_scheme`."""
    ways = {"none": _NONE, "basic": _BASIC, "header": _HEADER}
    return _trusted(settings) + ways[settings.front_auth] + _CLIENT


def secret(settings: Settings) -> str:
    """Return the line by which the API knows nginx; without authentication what a client sends of it is dropped."""
    if settings.front_auth == "none":
        return 'proxy_set_header X-Shipper-Proxy-Secret "";'
    return f"include {PRIVATE}/secret.conf;"


def asked(settings: Settings) -> str:
    """Return what stands in the server: who is let in at all."""
    if settings.front_auth != "basic":
        return ""
    return _ASKED.replace("@file@", f"{settings.secrets_directory}/front/htpasswd")


def kibana_asks(settings: Settings) -> str:
    """Return what stands in Kibana's places, as a token of the API means nothing to Kibana."""
    lines = {"none": "", "basic": "      auth_basic shipper;\n", "header": _NAMED}
    return lines[settings.front_auth]


def _trusted(settings: Settings) -> str:
    if not settings.front_trusted:
        return _NOBODY_TRUSTED
    networks = "".join(f"    {network} 1;\n" for network in settings.front_trusted)
    addresses = "".join(f"  set_real_ip_from {network};\n" for network in settings.front_trusted)
    return _TRUSTED.replace("@networks@", networks).replace("@from@", addresses)


_ASKED: Final = """\
    auth_basic $shipper_realm;
    auth_basic_user_file @file@;

"""
_NAMED: Final = """\
      if ($shipper_user = "") { return 403; }
"""
