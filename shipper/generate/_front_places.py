"""Which path goes where in nginx in front, how long it may take, and what is said when nobody is there."""

from typing import Final

from shipper.generate import _front_pages as said
from shipper.generate._cluster_settings import Settings
from shipper.generate._front_auth import kibana_asks


def upstreams(settings: Settings) -> str:
    """Return the programs behind, each at its service port of HAProxy on this host."""
    found = _UPSTREAM.replace("@name@", "api").replace("@port_number@", str(settings.api_port))
    if settings.kibana:
        found += _UPSTREAM.replace("@name@", "kibana").replace("@port_number@", str(settings.kibana_port))
    return found


def places(settings: Settings) -> str:
    """Return the locations of the server."""
    api = _API.replace("@tails@", str(settings.front_tails))
    for name, text in (
        ("nobody", said.NOBODY),
        ("api_away", said.API_AWAY),
        ("api_away_error", said.API_AWAY_ERROR),
        ("too_many", said.TOO_MANY_TAILS),
    ):
        api = api.replace(f"@{name}@", text)
    if not settings.kibana:
        return api + _NO_KIBANA.replace("@text@", said.NO_KIBANA)
    return api + _KIBANA.replace("@asks@", kibana_asks(settings)).replace("@kibana_away@", said.KIBANA_AWAY)


#: HAProxy keeps an idle connection for 30 s, the API itself for 5 s.
_UPSTREAM: Final = """\
  upstream shipper_@name@ {
    server 127.0.0.1:@port_number@ max_fails=0;
    keepalive 32;
    keepalive_timeout 4s;
  }
"""
_API: Final = """\
    location = /nginx-health { auth_basic off; access_log off; return 200; }
    # Whether the API answers questions.
    location = /nginx-ready {
      auth_basic off;
      access_log off;
      proxy_connect_timeout 1s;
      proxy_read_timeout 4s;
      sub_filter "@nobody@" '@api_away_error@';
      proxy_pass http://shipper_api/ready;
      error_page 502 504 = @shipper_api_away_error;
    }
    # What is followed live comes line by line, for as long as somebody listens.
    location ~ ^/api/v1/(tail|feed)$ {
      limit_conn shipper_tails @tails@;
      gzip off;
      proxy_buffering off;
      proxy_read_timeout 1h;
      sub_filter "@nobody@" '@api_away_error@';
      proxy_pass http://shipper_api;
      error_page 429 = @shipper_too_many;
      error_page 502 504 = @shipper_api_away_error;
    }
    location /api/ {
      sub_filter "@nobody@" '@api_away_error@';
      proxy_pass http://shipper_api;
      error_page 502 504 = @shipper_api_away_error;
    }
    # HAProxy's words while it has no task of the API become ours; what the API says under the same status stays.
    location / {
      sub_filter "@nobody@" '@api_away@';
      proxy_pass http://shipper_api;
      error_page 502 504 = @shipper_api_away;
    }
    location @shipper_too_many {
      default_type application/json;
      set $shipper_retry 10;
      return 429 '@too_many@';
    }
    location @shipper_api_away_error {
      default_type application/json;
      set $shipper_retry 10;
      return 503 '@api_away_error@';
    }
    location @shipper_api_away {
      default_type text/html;
      set $shipper_retry 10;
      return 503 '@api_away@';
    }
"""
_KIBANA: Final = """\

    location = /kibana { return 308 /kibana/; }
    location /kibana/ {
@asks@      # Saved objects are imported as one file, at most 25 MiB by Kibana's own limit.
      client_max_body_size 30m;
      proxy_read_timeout 120s;
      proxy_pass http://shipper_kibana;
      error_page 502 504 = @shipper_kibana_away;
    }
    # A page: words also when HAProxy has no task of Kibana, or Kibana is still starting.
    location ~ ^/kibana/(s/[a-z0-9_-]+/)?(app/|$) {
@asks@      proxy_read_timeout 120s;
      proxy_pass http://shipper_kibana;
      proxy_intercept_errors on;
      error_page 502 503 504 = @shipper_kibana_away;
    }
    location @shipper_kibana_away {
      default_type text/html;
      set $shipper_retry 30;
      return 503 '@kibana_away@';
    }
"""
_NO_KIBANA: Final = """\

    location ~ ^/kibana(/|$) {
      default_type text/html;
      return 404 '@text@';
    }
"""
