"""Settings that can be changed on a page; they live in the database."""

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import select

from almanac_sticky.models import Setting, database

settings = Blueprint("settings", __name__)


def read_settings() -> dict[str, str]:
    with database() as session:
        return {row.name: row.value for row in session.scalars(select(Setting))}


SETTINGS = read_settings()


def setting(name: str) -> str:
    return SETTINGS[name]


@settings.post("/settings")
def change_setting() -> Response:
    name, value = request.form["name"], request.form["value"]
    with database() as session:
        session.merge(Setting(name=name, value=value))
    SETTINGS[name] = value
    return jsonify(saved=name)
