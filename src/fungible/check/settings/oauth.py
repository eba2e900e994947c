"""FU212: the state of a login with another service, kept in one process or on its own disk until the callback."""

from __future__ import annotations

from collections.abc import Iterator

from fungible.check.finding import Finding, Level, Rule
from fungible.check.settings.project import Project, leveled, owner
from fungible.check.settings.values import Answer, judge

FU212 = Rule(
    id="FU212",
    title="the state of OAuth logins is kept in one process",
    why="The callback lands at another process, which does not know the state that was sent, and refuses the login.",
    mend="Keep the state in a signed cookie or in a store that all processes share.",
    topic="session-in-memory",
    wrong="""\
from slack_bolt.oauth.oauth_settings import OAuthSettings
settings = OAuthSettings(client_id="shop", client_secret="s3cret")
""",
    right="""\
from slack_bolt.oauth.oauth_settings import OAuthSettings
from stores import installations, states
settings = OAuthSettings(
    client_id="shop", client_secret="s3cret", installation_store=installations, state_store=states
)
""",
)
RULES = (FU212,)

_MEMORY = {
    "fastmcp.server.auth.providers.in_memory.InMemoryOAuthProvider": "fastmcp's InMemoryOAuthProvider",
    "flask_dance.consumer.storage.MemoryStorage": "flask_dance's MemoryStorage",
}
_SLACK = "slack_bolt.oauth."
_SLACK_SETTINGS = (_SLACK + "oauth_settings.OAuthSettings", _SLACK + "async_oauth_settings.AsyncOAuthSettings")
_SLACK_FILES = {
    "slack_sdk.oauth.state_store.FileOAuthStateStore": "base_dir",
    "slack_sdk.oauth.installation_store.FileInstallationStore": "base_dir",
}


def find(project: Project) -> Iterator[Finding]:
    for call in project.named(*_MEMORY):
        yield project.told(
            call, "FU212", Level.LIKELY, f"{_MEMORY[call.name or '']} keeps them in memory", owner(call)
        )
    for call in project.named(*_SLACK_SETTINGS):
        # Without them: FileOAuthStateStore and FileInstallationStore in the home folder.
        if call.node_of("state_store") is None and not call.spread:
            message = f"{call.method} has no state_store, so that states are files in the home folder"
            yield project.told(call, "FU212", Level.LIKELY, message, owner(call))
    for call in project.named(*_SLACK_FILES):
        folder = call.node_of("base_dir")
        answer = Answer.ALWAYS if folder is None else judge(call.value(folder), lambda each: isinstance(each, str))
        if answer is not Answer.NO:
            message = f"{call.method} keeps files on the local disk"
            yield project.told(call, "FU212", leveled(answer, Level.LIKELY), message, owner(call))
