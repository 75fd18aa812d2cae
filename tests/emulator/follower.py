"""A Marathon that is not the leader: it hands on what it is asked, and sends listeners to the leader."""

import aiohttp
from aiohttp import web

_HOP = {"transfer-encoding", "content-length", "content-encoding", "connection", "host"}


def application(leader: str, name: str) -> web.Application:
    """`leader` is the URL of the other one, `name` what this one calls itself in X-Marathon-Via."""

    async def hand_on(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/events":
            return web.Response(status=302, headers={"Location": f"{leader}{request.path_qs}"})
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        headers |= {"X-Marathon-Via": name, "X-Forwarded-For": request.remote or ""}
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.request(
                request.method,
                f"{leader}{request.raw_path}",
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
                kept["X-Marathon-Via"] = name
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hand_on)
    return app
