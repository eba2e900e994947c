"""The list of data sets, and a page for each."""

from functools import lru_cache

from flask import Blueprint, Response, abort, redirect, render_template, request
from sqlalchemy import select

from almanac_sticky.models import Dataset, database
from almanac_sticky.settings import setting

catalogue = Blueprint("catalogue", __name__)


@lru_cache(maxsize=256)
def find_dataset(dataset_id: int) -> Dataset | None:
    with database() as session:
        return session.get(Dataset, dataset_id)


@catalogue.get("/")
def home() -> str:
    return render_template("home.html")


@catalogue.get("/datasets")
def list_datasets() -> str:
    size = int(setting("page_size"))
    with database() as session:
        datasets = session.scalars(select(Dataset).order_by(Dataset.id).limit(size)).all()
    return render_template("datasets.html", datasets=datasets)


@catalogue.get("/datasets/<int:dataset_id>")
def show_dataset(dataset_id: int) -> str:
    dataset = find_dataset(dataset_id) or abort(404)
    return render_template("dataset.html", dataset=dataset)


@catalogue.post("/datasets/<int:dataset_id>/title")
def rename_dataset(dataset_id: int) -> Response:
    with database() as session:
        dataset = session.get(Dataset, dataset_id) or abort(404)
        dataset.title = request.form["title"]
    find_dataset.cache_clear()
    return redirect(f"/datasets/{dataset_id}", 303)
