"""Exports of the whole catalogue, made in the background."""

import csv
import io
import threading
import uuid

from flask import Blueprint, Response, abort, jsonify
from sqlalchemy import select

from almanac_sticky.models import Dataset, database

exports = Blueprint("exports", __name__)

status: dict[str, dict[str, str]] = {}


def make_export(export_id: str) -> None:
    with database() as session:
        datasets = session.scalars(select(Dataset).order_by(Dataset.id)).all()
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["title", "url"])
    table.writerows([dataset.title, dataset.url] for dataset in datasets)
    status[export_id] = {"state": "done", "csv": text.getvalue()}


@exports.post("/exports")
def start_export() -> tuple[Response, int]:
    export_id = uuid.uuid4().hex
    status[export_id] = {"state": "running"}
    threading.Thread(target=make_export, args=(export_id,), daemon=True).start()
    return jsonify(id=export_id), 202


@exports.get("/exports/<export_id>")
def show_export(export_id: str) -> Response:
    return jsonify(status.get(export_id) or abort(404))
