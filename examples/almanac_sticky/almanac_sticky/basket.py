"""The basket: data sets that a visitor wants to download together."""

import secrets
from typing import ClassVar

from flask import Blueprint, Response, jsonify, request

basket = Blueprint("basket", __name__)


class Basket:
    contents: ClassVar[dict[str, list[int]]] = {}

    def __init__(self, visitor: str) -> None:
        self.visitor = visitor

    def add(self, dataset_id: int) -> None:
        self.contents.setdefault(self.visitor, []).append(dataset_id)

    def items(self) -> list[int]:
        return self.contents.get(self.visitor, [])


@basket.post("/basket")
def add_to_basket() -> Response:
    visitor = request.cookies.get("visitor") or secrets.token_urlsafe(12)
    chosen = Basket(visitor)
    chosen.add(int(request.form["dataset"]))
    response = jsonify(added=int(request.form["dataset"]))
    response.set_cookie("visitor", visitor, httponly=True, samesite="Lax")
    return response


@basket.get("/basket")
def show_basket() -> Response:
    return jsonify(items=Basket(request.cookies.get("visitor", "")).items())
