"""The JSON API, for programs: log in for a token, send it as `Authorization: Bearer ...`, revoke it."""

from typing import Any

from flask import Blueprint, abort, jsonify, request, url_for

from almanac import access, accounts, datasets
from almanac.access import READ, WRITE, for_programs, tokens

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/login")
def log_in() -> Any:
    name, password, label = _texts("user", "password", label="")
    scopes = _body().get("scopes", [READ, WRITE])
    if not isinstance(scopes, list) or not scopes or not all(scope in (READ, WRITE) for scope in scopes):
        abort(422, f'"scopes" is a list of "{READ}", "{WRITE}" or both.')
    if not accounts.may_try(name[:80]):
        abort(429, "Too many tries. Wait a minute.")
    user = accounts.with_password(name, password) or abort(401, "Wrong name or password.")
    issued = tokens.issue(user.id, scopes=scopes, label=label[:60])
    return jsonify(token=issued.secret, id=issued.id, expires_in=issued.expires_in, scopes=sorted(issued.scopes)), 201


@api.get("/tokens")
@for_programs(READ)
def list_tokens() -> Any:
    return jsonify(
        [{"id": login.id, "label": login.label, "scopes": sorted(login.scopes)} for login in access.tokens_of_user()]
    )


@api.delete("/tokens/<token_id>")
@for_programs(READ)
def revoke_token(token_id: str) -> Any:
    """With any token: who finds that one leaked should not need another to end it."""
    return ("", 204) if access.revoke(token_id) else abort(404)


@api.get("/datasets")
@for_programs(READ)
def list_datasets() -> Any:
    return jsonify([datasets.as_json(dataset) for dataset in datasets.of_user(access.user().id)])


@api.post("/datasets")
@for_programs(WRITE)
def add_dataset() -> Any:
    url, title = _texts("url", title="")
    try:
        dataset_id = datasets.add(access.user().id, url, title)
    except datasets.RefusedError as error:
        abort(422, str(error))
    dataset = datasets.find(access.user().id, dataset_id) or abort(404)
    return jsonify(datasets.as_json(dataset)), 201, {"Location": url_for("api.show_dataset", dataset_id=dataset_id)}


@api.get("/datasets/<int:dataset_id>")
@for_programs(READ)
def show_dataset(dataset_id: int) -> Any:
    dataset = datasets.find(access.user().id, dataset_id) or abort(404)
    return jsonify(datasets.as_json(dataset, columns=True))


@api.delete("/datasets/<int:dataset_id>")
@for_programs(WRITE)
def remove_dataset(dataset_id: int) -> Any:
    return ("", 204) if datasets.remove(access.user().id, dataset_id) else abort(404)


def _body() -> dict[str, Any]:
    body = request.get_json()
    return body if isinstance(body, dict) else abort(422, "Send an object.")


def _texts(*needed: str, **optional: str) -> list[str]:
    """The values of these names in the request's JSON object, all text."""
    body = _body()
    found = [body.get(name) for name in needed] + [body.get(name, other) for name, other in optional.items()]
    if not all(isinstance(value, str) for value in found):
        abort(422, f"These must be text: {', '.join([*needed, *optional])}.")
    return found
