"""Links to a data set for people without an account."""

import secrets

from flask import Blueprint, Response, abort, jsonify
from itsdangerous import BadSignature, URLSafeSerializer

from almanac_sticky.models import Dataset, database

sharing = Blueprint("sharing", __name__)

signer = URLSafeSerializer(secrets.token_hex(32), salt="share")


@sharing.post("/datasets/<int:dataset_id>/share")
def share(dataset_id: int) -> Response:
    return jsonify(link="/shared/" + signer.dumps(dataset_id))


@sharing.get("/shared/<token>")
def shared(token: str) -> Response:
    try:
        dataset_id = signer.loads(token)
    except BadSignature:
        abort(403)
    with database() as session:
        dataset = session.get(Dataset, dataset_id) or abort(404)
    return jsonify(title=dataset.title, rows=dataset.rows)
