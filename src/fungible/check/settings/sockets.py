"""FU205 and FU209: messages to connected clients that reach those of one process only."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.calls import Call
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import Answer, Value, judge

FU205 = Rule(
    id="FU205",
    title="Django Channels has no shared channel layer",
    why="A message to a group reaches the sockets of the process that sends it, and no other.",
    mend="Use channels_redis (RedisChannelLayer or RedisPubSubChannelLayer) with hosts from the environment.",
    topic="session-in-memory",
    wrong="""\
INSTALLED_APPS = ["channels"]
ROOT_URLCONF = "shop.urls"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
""",
    right="""\
import os
INSTALLED_APPS = ["channels"]
ROOT_URLCONF = "shop.urls"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer",
                              "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}}
""",
)
FU209 = Rule(
    id="FU209",
    title="Socket.IO has no message queue",
    why="A client's session and rooms are known to one process: what another emits does not reach it.",
    mend='Give it a message queue (`message_queue=os.environ["REDIS_URL"]`, or `client_manager=` a manager on Redis),'
    " and let clients use WebSockets only, as polling needs the same process for every request.",
    topic="session-in-memory",
    wrong="""\
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
socketio = SocketIO(app)
""",
    right="""\
import os
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["REDIS_URL"])
""",
)
RULES = (FU205, FU209)

_SERVERS = ("socketio.Server", "socketio.AsyncServer", "socketio.server.Server", "socketio.async_server.AsyncServer")
_MANAGERS_OF_ONE = ("socketio.Manager", "socketio.AsyncManager", "socketio.BaseManager")


def find(project: Project) -> Iterator[Finding]:
    yield from _channels(project)
    yield from _flask(project)
    for call in project.named(*_SERVERS):
        if call.spread:
            continue
        node = call.node_of("client_manager")
        if node is None or call.value(node) is None:
            yield project.told(call, "FU209", Level.LIKELY, f"{_shown(call)} has no client_manager", owner(call))
    for call in project.named(*_MANAGERS_OF_ONE):
        yield project.told(call, "FU209", Level.LIKELY, f"{_shown(call)} knows its own process only", owner(call))


def _channels(project: Project) -> Iterator[Finding]:
    for settings in project.django:
        backend = settings.get("CHANNEL_LAYERS", "default", "BACKEND")
        answer = judge(backend, lambda each: str(each).endswith("layers.InMemoryChannelLayer"))
        if answer is not Answer.NO:
            message = "the default channel layer is InMemoryChannelLayer"
            where = settings.where("CHANNEL_LAYERS")
            yield project.bound(where, "FU205", leveled(answer, Level.CERTAIN), message, "CHANNEL_LAYERS.default")


def _flask(project: Project) -> Iterator[Finding]:
    for call in project.named("flask_socketio.SocketIO"):
        given = [call, *_inits(project, call)]
        if any(each.spread for each in given):
            continue
        queues = [each.argument("message_queue") for each in given if each.node_of("message_queue") is not None]
        managers = [each for each in given if each.node_of("client_manager") is not None]
        answer = next((judge(each, _is_none) for each in queues if judge(each, _is_none) is not Answer.ALWAYS), None)
        if managers or answer is Answer.NO:
            continue
        level = Level.LIKELY if answer is None else Level.POSSIBLE
        yield project.told(call, "FU209", level, "flask_socketio.SocketIO has no message_queue", owner(call))


def _inits(project: Project, made: Call) -> list[Call]:
    """The calls of `init_app` of what a call made, in any module."""
    name = owner(made)
    return [
        call
        for call in project.calls
        if call.method == "init_app" and (call.meaning(call.receiver) or "").rpartition(".")[2] == name
    ]


def _is_none(value: Value) -> bool:
    return value is None or value == ""


def _shown(call: Call) -> str:
    return f"socketio.{call.method}"
