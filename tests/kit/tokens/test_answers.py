"""What a client is told, by every framework (RFC 6750). Names begin with the requirement: T6, T9."""

# No `from __future__ import annotations`: FastAPI reads dependencies in a function that are local to a test.
import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import flask
import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocketDisconnect
from werkzeug.test import Client

from fungible_kit.tokens import Busy, Grant, MissingScope, StoreUnavailable, TokenError, Tokens
from tests.kit.tokens.conftest import Clock

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
FRAMEWORKS = ("wsgi", "asgi", "flask", "fastapi")


@pytest.fixture
def kind() -> str:
    return "sqlite"


def wsgi(tokens: Tokens) -> Ask:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        grant = environ["fungible.grant"]
        return [grant.user_id.encode() if grant else b"public"]

    return _werkzeug(tokens.wsgi(app, "read", public=("/login",)))


def asgi(tokens: Tokens) -> Ask:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        grant = scope["fungible.grant"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": grant.user_id.encode() if grant else b"public"})

    return _test_client(tokens.asgi(app, "read", public=("/login",)))


def flask_app(tokens: Tokens) -> Ask:
    app = flask.Flask("app")

    @app.get("/data")
    @tokens.flask("read")
    def data() -> str:
        return str(flask.g.grant.user_id)

    @app.get("/login")
    def login() -> str:
        return "public"

    return _werkzeug(app)


def fastapi_app(tokens: Tokens) -> Ask:
    app = FastAPI()

    @app.get("/data")
    async def data(grant: Annotated[Grant, Depends(tokens.bearer("read"))]) -> str:
        return grant.user_id

    @app.get("/login")
    async def login() -> str:
        return "public"

    schema = app.openapi()
    assert schema["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert schema["paths"]["/data"]["get"]["security"] == [{"bearer": []}]
    return _test_client(app)


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(framework: str) -> Callable[[Tokens], Ask]:
    """A function that makes an app of a framework with `/data` for tokens that may read, and `/login` for all."""
    return {"wsgi": wsgi, "asgi": asgi, "flask": flask_app, "fastapi": fastapi_app}[framework]


def _werkzeug(app: Any) -> Ask:
    def ask(path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        answer = Client(app).open(path, method=method, headers=headers)
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.get_data()

    return ask


def _test_client(app: Any) -> Ask:
    def ask(path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        answer = TestClient(app).request(method, path, headers=headers)
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content

    return ask


def test_a_good_token_gets_through_and_a_public_path_needs_none(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    tokens = make()
    ask = build(tokens)
    status, _, body = ask("/data", {"Authorization": f"Bearer {tokens.issue('ann', scopes={'read'}).secret}"})
    assert (status, body.strip(b'"')) == (200, b"ann")
    status, _, body = ask("/login", {"Authorization": "Bearer junk"})
    assert (status, body.strip(b'"')) == (200, b"public")


def test_t9_every_bad_token_gets_the_same_401(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens], clock: Clock
) -> None:
    tokens = make(realm="acme data")
    ask = build(tokens)
    expired = tokens.issue("ann", ttl=5, scopes={"read"})
    clock.now += 5
    revoked = tokens.issue("ann", scopes={"read"})
    tokens.revoke(revoked.id)
    unknown = make(name="elsewhere").issue("ann", scopes={"read"})
    bad = [expired.secret, revoked.secret, unknown.secret, "junk", "acme_login_" + "0" * 49, "a b"]
    answers = [ask("/data", {"Authorization": f"Bearer {secret}"}) for secret in bad]
    status, headers, body = answers[0]
    assert answers == [(status, headers, body)] * len(bad)
    assert status == 401
    assert headers["www-authenticate"] == 'Bearer realm="acme data", error="invalid_token"'
    assert headers["cache-control"] == "no-store" and headers["content-type"].startswith("application/json")
    assert json.loads(body)


def test_t9_without_a_token_the_401_names_no_error(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    ask = build(make())
    for headers in ({}, {"Authorization": "Basic YTpi"}):
        status, answered, _ = ask("/data", headers)
        assert (status, answered["www-authenticate"]) == (401, 'Bearer realm="acme"')


def test_t9_a_lacking_scope_is_a_403_that_names_it(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    tokens = make()
    status, headers, _ = build(tokens)("/data", {"Authorization": f"Bearer {tokens.issue('ann').secret}"})
    assert status == 403
    assert headers["www-authenticate"] == 'Bearer realm="acme", error="insufficient_scope", scope="read"'


def test_t6_a_token_in_the_query_or_a_cookie_is_not_read(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    tokens = make()
    secret = tokens.issue("ann", scopes={"read"}).secret
    status, headers, _ = build(tokens)(f"/data?access_token={secret}", {"Cookie": f"access_token={secret}"})
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="acme"')


class Down:
    """A store that does not answer."""

    def execute(self, operation: object) -> None:
        raise StoreUnavailable("down")

    async def aexecute(self, operation: object) -> None:
        raise StoreUnavailable("down")

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


def test_a_store_that_does_not_answer_is_a_503_and_never_a_401(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    ask = build(Tokens(Down(), prefix="acme"))
    status, headers, body = ask("/data", {"Authorization": f"Bearer {make().issue('ann').secret}"})
    assert status == 503 and int(headers["retry-after"]) > 0 and "www-authenticate" not in headers
    assert b"down" not in body
    assert ask("/data", {"Authorization": "Bearer junk"})[0] == 401  # junk needs no store
    assert ask("/login", {})[0] == 200


def test_a_head_request_gets_no_body(make: Callable[..., Tokens]) -> None:
    for build in (wsgi, asgi):
        status, headers, body = build(make())("/data", {}, "HEAD")
        assert (status, body) == (401, b"") and int(headers["content-length"]) > 0


def test_a_path_below_a_public_one_cannot_climb_out(make: Callable[..., Tokens]) -> None:
    app = make().wsgi(lambda environ, start: [b"in"], public=("/assets/", "/"))
    seen: list[str] = []

    def ask(path: str) -> list[bytes]:
        return list(app({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda status, headers: seen.append(status)))

    assert ask("/assets/app.css") == [b"in"] and ask("/") == [b"in"]
    for path in ("/assets/../data", "/data", "/assets", "/assets/./x", "", "//data"):
        assert ask(path) != [b"in"], path
    assert set(seen) == {"401 Unauthorized"}


@pytest.mark.parametrize("by", ["middleware", "fastapi"])
def test_a_websocket_without_a_token_is_refused_before_it_opens(by: str, make: Callable[..., Tokens]) -> None:
    tokens = make()
    app = FastAPI()

    @app.websocket("/data")
    async def data(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.scope["fungible.grant"].user_id)

    @app.websocket("/depends")
    async def depends(socket: WebSocket, grant: Annotated[Grant, Depends(tokens.bearer("read"))]) -> None:
        await socket.accept()
        await socket.send_text(grant.user_id)

    path, guarded = ("/data", tokens.asgi(app, "read")) if by == "middleware" else ("/depends", app)
    client = TestClient(guarded)
    header = {"Authorization": f"Bearer {tokens.issue('ann', scopes={'read'}).secret}"}
    with client.websocket_connect(path, headers=header) as socket:
        assert socket.receive_text() == "ann"
    with pytest.raises(Exception) as refused, client.websocket_connect(path):
        pass
    if by == "middleware":  # the test's server can answer a handshake
        assert getattr(refused.value, "status_code", None) == 401
    else:
        assert isinstance(refused.value, WebSocketDisconnect) and refused.value.code == 1008


def test_a_server_that_cannot_answer_a_handshake_closes_it(make: Callable[..., Tokens]) -> None:
    sent: list[Any] = []

    async def scenario() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await make().asgi(None)({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(scenario())
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_lifespan_passes_through(make: Callable[..., Tokens]) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(make().asgi(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_flask_views_may_be_async_and_the_decorator_wants_its_brackets(make: Callable[..., Tokens]) -> None:
    tokens = make()
    with pytest.raises(TypeError, match="brackets"):
        tokens.flask()("read")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="brackets"):
        tokens.flask(lambda: "data")  # type: ignore[arg-type]
    for guard in (tokens.flask, tokens.bearer):
        with pytest.raises(ValueError, match="each scope is a text"):
            guard(["read"])  # type: ignore[arg-type]
    app = flask.Flask("app")

    @app.get("/<int:number>")
    @tokens.flask()
    def data(number: int) -> dict[str, Any]:
        return {"number": number, "user": flask.g.grant.user_id}

    ask = _werkzeug(app)
    body = ask("/7", {"Authorization": f"Bearer {tokens.issue('ann').secret}"})[2]
    assert json.loads(body) == {"number": 7, "user": "ann"}


def test_one_request_of_fastapi_asks_the_store_once_for_the_same_scopes(make: Callable[..., Tokens]) -> None:
    tokens = make()
    asked: list[object] = []
    ask_store = tokens._store.aexecute

    async def counted(operation: Any) -> Any:
        asked.append(operation)
        return await ask_store(operation)

    tokens._store.aexecute = counted  # type: ignore[method-assign]
    app = FastAPI(dependencies=[Depends(tokens.bearer())])

    @app.get("/data")
    async def data(grant: Annotated[Grant, Depends(tokens.bearer())]) -> str:
        return grant.user_id

    secret = tokens.issue("ann").secret
    assert TestClient(app).get("/data", headers={"Authorization": f"Bearer {secret}"}).json() == "ann"
    assert len(asked) == 1


def _plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["fungible.grant"].require("write")
    start_response("200 OK", [])
    return [b"written"]


def wsgi_that_asks(tokens: Tokens) -> Ask:
    return _werkzeug(tokens.wsgi(_plain))


def wsgi_generator_that_asks(tokens: Tokens) -> Ask:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        yield from _plain(environ, start_response)

    return _werkzeug(tokens.wsgi(app))


def asgi_that_asks(tokens: Tokens) -> Ask:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["fungible.grant"].require("write")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"written"})

    return _test_client(tokens.asgi(app))


def flask_that_asks(tokens: Tokens, app: flask.Flask | None = None) -> Ask:
    app = app or flask.Flask("app")

    @app.get("/data")
    @tokens.flask()
    def data() -> str:
        flask.g.grant.require("write")
        return "written"

    return _werkzeug(app)


def fastapi_that_asks(tokens: Tokens, app: FastAPI | None = None) -> Ask:
    app = app or FastAPI()

    @app.get("/data")
    async def data(grant: Annotated[Grant, Depends(tokens.bearer())]) -> str:
        grant.require("write")
        return "written"

    return _test_client(app)


def fastapi_dependency_that_asks(tokens: Tokens) -> Ask:
    app = FastAPI()

    def writer(grant: Annotated[Grant, Depends(tokens.bearer())]) -> None:
        grant.require("write")

    @app.get("/data", dependencies=[Depends(writer)])
    def data() -> str:
        return "written"

    return _test_client(app)


ASKING = (
    wsgi_that_asks,
    wsgi_generator_that_asks,
    asgi_that_asks,
    flask_that_asks,
    fastapi_that_asks,
    fastapi_dependency_that_asks,
)


@pytest.mark.parametrize("build", ASKING)
def test_t9_a_scope_that_the_handler_asks_for_is_a_403_too(
    build: Callable[[Tokens], Ask], make: Callable[..., Tokens]
) -> None:
    tokens = make()
    ask = build(tokens)
    status, headers, body = ask("/data", {"Authorization": f"Bearer {tokens.issue('ann').secret}"})
    assert status == 403 and b"written" not in body
    assert headers["www-authenticate"] == 'Bearer realm="acme", error="insufficient_scope", scope="write"'
    writer = tokens.issue("ann", scopes={"write"}).secret
    status, _, body = ask("/data", {"Authorization": f"Bearer {writer}"})
    assert (status, body.strip(b'"')) == (200, b"written")


def test_a_handler_of_the_apps_own_answers_what_a_view_raises(make: Callable[..., Tokens]) -> None:
    tokens = make()
    app, api = flask.Flask("app"), FastAPI()
    app.register_error_handler(TokenError, lambda error: ("mine", 418))
    api.add_exception_handler(TokenError, lambda request, error: PlainTextResponse("mine", 418))
    header = {"Authorization": f"Bearer {tokens.issue('ann').secret}"}
    for ask in (flask_that_asks(tokens, app), fastapi_that_asks(tokens, api)):
        assert ask("/data", header)[::2] == (418, b"mine")


def test_a_login_while_the_store_is_away_is_a_503_by_the_handlers_of_the_page() -> None:
    tokens = Tokens(Down(), prefix="acme")
    app = FastAPI()

    @app.exception_handler(TokenError)
    @app.exception_handler(StoreUnavailable)
    async def refused(request: Any, error: TokenError | StoreUnavailable) -> Response:
        answer = tokens.answer(error)
        return Response(answer.body, answer.status, dict(answer.headers))

    @app.exception_handler(Busy)
    async def busy(request: Any, error: Busy) -> Response:
        return Response(status_code=503, headers={"Retry-After": "1"})

    @app.get("/login")
    async def login() -> str:
        return (await tokens.aissue("ann")).secret

    @app.get("/busy")
    def many() -> None:
        raise Busy("many")

    for path in ("/login", "/busy"):
        status, headers, _ = _test_client(app)(path, {})
        assert status == 503 and int(headers["retry-after"]) > 0


def test_an_error_after_the_answer_has_begun_is_raised(make: Callable[..., Tokens]) -> None:
    tokens = make()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"begun"
        environ["fungible.grant"].require("write")

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["fungible.grant"].require("write")

    header = {"Authorization": f"Bearer {tokens.issue('ann').secret}"}
    for ask in (_werkzeug(tokens.wsgi(app)), _test_client(tokens.asgi(asgi_app))):
        with pytest.raises(MissingScope):
            ask("/data", header)
