"""How nginx starts as a task: on a configuration that its app carries, so nothing of it has to lie on the hosts."""

from typing import Final

from shipper.generate._apps import Definition
from shipper.generate._cluster_settings import Settings

#: SIGQUIT lets nginx end what it has begun.
NGINX_OPTIONS: Final = {"read-only": "true", "stop-signal": "SIGQUIT"}
#: The same with a place in memory for what must not lie in the sandbox, which Mesos shows to everybody.
FRONT_OPTIONS: Final = {**NGINX_OPTIONS, "tmpfs": "/tmp:size=16m"}  # noqa: S108 its own, in its container
#: In which nginx proves to the API that it is nginx: HAProxy of every host passes on what anybody there sends.
PROOF_HEADER: Final = "X-Shipper-Proxy-Secret"
#: What `@…@` in a configuration stands for until the task knows.
PORT, TLS_PORT, PRIVATE = "@port@", "@tls_port@", "@private@"


def nginx_of(config: str) -> Definition:
    """Return how nginx starts on a configuration without secrets.

    `@port@` in it becomes the port that Mesos gave; its relative paths are in the sandbox.
    """
    return {"cmd": f"{_written({PORT: '$PORT0'})} && {_RUN}", "env": {"NGINX_CONF": config}}


def front_of(settings: Settings, config: str) -> Definition:
    """Return how nginx in front starts: the same, and with authentication it includes `@private@/secret.conf`."""
    names = {PORT: "$PORT0"}
    if settings.front_tls_certificate:
        names[TLS_PORT] = "$PORT1"
    if settings.front_auth == "none":
        return {"cmd": f"{_written(names)} && {_RUN}", "env": {"NGINX_CONF": config}}
    secret = _SECRET.replace("@file@", f"{settings.secrets_directory}/front/secret")
    start = f"{secret} && {_written({**names, PRIVATE: '$private'})} && unset secret && {_RUN}"
    return {"cmd": start, "env": {"NGINX_CONF": config}}


def _written(names: dict[str, str]) -> str:
    """Return the command that writes the configuration into the sandbox, names filled with what the shell knows."""
    edits = " ".join(f'-e "s|{name}|{value}|g"' for name, value in names.items())
    return f'printf %s "$NGINX_CONF" | sed {edits} > "$MESOS_SANDBOX/nginx.conf"'


_RUN: Final = """exec nginx -p "$MESOS_SANDBOX/" -c "$MESOS_SANDBOX/nginx.conf" -e stderr -g 'daemon off;'"""
#: Letters and digits only: it goes into a header, and into nginx's own language.
_SECRET: Final = f"""\
read -r secret < @file@
case "$secret" in
  ""|*[!A-Za-z0-9_-]*) echo "@file@: must be one line of A-Za-z0-9_-, as openssl rand -hex 32 writes it" >&2; exit 1;;
esac
umask 077 && private=$(mktemp -d) && \
printf 'proxy_set_header {PROOF_HEADER} "%s";\\n' "$secret" > "$private/secret.conf\""""
