"""nginx on a host or in a container: its access log as JSON with a request id, its errors as they are."""

from typing import Final

from shipper.generate._fill import fill, path
from shipper.generate._host_settings import Settings


def generate(settings: Settings) -> dict[str, str]:
    """Return the piece of nginx's configuration, by path; the same settings give the same bytes."""
    return {"rsyslog/nginx/shipper.conf": fill(_CONFIG, {"socket": path(settings, "socket"), "log_format": LOG_FORMAT})}


#: How a line of the access log is written. Every value is a string, quoted by nginx, whatever the client sent.
LOG_FORMAT: Final = """\
log_format shipper escape=json
  '{"message":"$request_method $uri $status","request_id":"$shipper_request_id","method":"$request_method",'
  '"path":"$uri","query_string":"$args","status":"$status","bytes":"$body_bytes_sent",'
  '"duration_s":"$request_time","client_ip":"$remote_addr","user_agent":"$http_user_agent",'
  '"virtual_host":"$host","referrer":"$http_referer","upstream":"$upstream_addr",'
  '"upstream_time":"$upstream_response_time"}';
"""

_CONFIG: Final = """\
# Written by `shipper generate rsyslog`; change its settings, not this file.
# Include it in `http { }`; needs nginx 1.11.8. A `server` that has an `access_log` of its own needs that line, too.

# The id that came with the request, else a new one. Pass it on, or the story of a request ends here:
#   proxy_set_header X-Request-ID $shipper_request_id;
map $http_x_request_id $shipper_request_id {
  default $http_x_request_id;
  "" $request_id;
}

# Every value is a string, quoted by nginx, whatever the client sent.
@log_format@
access_log "syslog:server=unix:@socket@,facility=local1,severity=info,tag=nginx,nohostname" shipper;
error_log "syslog:server=unix:@socket@,facility=local1,tag=nginx,nohostname" warn;
"""
