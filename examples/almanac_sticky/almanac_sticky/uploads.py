"""Upload a CSV file, look at it on the next page."""

import csv
from pathlib import Path

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.utils import secure_filename

uploads = Blueprint("uploads", __name__)

FOLDER = Path(__file__).parent / "uploads"


@uploads.post("/uploads")
def upload() -> Response:
    file = request.files["file"]
    name = secure_filename(file.filename or "") or abort(400)
    FOLDER.mkdir(exist_ok=True)
    file.save(FOLDER / name)
    return redirect(f"/uploads/{name}", 303)


@uploads.get("/uploads/<name>")
def show_upload(name: str) -> str:
    path = FOLDER / secure_filename(name)
    if not path.is_file():
        abort(404)
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    return render_template("upload.html", name=name, rows=rows[:20], count=len(rows) - 1)
