"""The web process: pages, and the API beside them. A request brings all it needs; nothing is kept after it."""

import time
from typing import Any

import valkey
from flask import (
    Flask,
    Response,
    abort,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
    url_for,
)
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from almanac import access, accounts, datasets, settings, store
from almanac.access import READ, WRITE, for_browsers, user
from almanac.api import api
from almanac.database import reading
from almanac.migrate import DEMO_DATA, DEMO_USERS
from almanac.plot import line_chart, number
from fungible_kit import Transactions
from fungible_kit.assets import install, wsgi
from fungible_kit.tokens import Busy, StoreUnavailable, TokenError

app = Flask(__name__, static_folder=None)
access.sessions.flask(app)
app.wsgi_app = wsgi(Transactions().wsgi(app.wsgi_app))  # type: ignore[method-assign]
install(app.jinja_env)
app.register_blueprint(api)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
app.jinja_env.filters["number"] = number
app.jinja_env.filters["time"] = lambda at: time.strftime("%d %b %Y, %H:%M UTC", time.gmtime(at))
app.jinja_env.filters["day"] = lambda at: time.strftime("%d %b %Y", time.gmtime(at))
app.jinja_env.globals.update(
    process=settings.PROCESS, release=settings.RELEASE, user=user, form_token=access.form_token
)


def _is_api() -> bool:
    return request.path.startswith("/api/")


@app.before_request
def refuse_foreign_posts() -> None:
    """A form must carry the token of its session; JSON, which no foreign form can send, needs none."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403, "This request came from another site.")
    if _is_api():
        if request.method != "DELETE" and not request.is_json:
            abort(415, "Send JSON.")
    elif not (
        session.user is None or request.endpoint == "log_in" or access.right_form(request.form.get("token", ""))
    ):
        abort(400, "This form is out of date. Go back, load the page again and repeat.")


@app.after_request
def add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@app.get("/healthz")
def healthz() -> Response:
    with reading() as rows:
        rows.execute(select(1))
    store.client.ping()
    return Response("ok\n", mimetype="text/plain")


@app.get("/login")
def show_login() -> Any:
    return render_template("login.html", name="", demo=DEMO_USERS if settings.DEMO else {})


@app.post("/login")
def log_in() -> Any:
    name, password = request.form.get("user", "")[:80], request.form.get("password", "")[:200]
    if not accounts.may_try(name):
        abort(429, "Too many tries. Wait a minute.")
    found = accounts.with_password(name, password)
    if found is None:
        page = render_template(
            "login.html", name=name, problem="Wrong name or password.", demo=DEMO_USERS if settings.DEMO else {}
        )
        return page, 401
    access.sign_in(found)
    return redirect(url_for("list_datasets"), 303)


@app.post("/logout")
def log_out() -> Any:
    session.logout()
    return redirect(url_for("show_login"), 303)


@app.get("/")
@for_browsers
def list_datasets() -> Any:
    return _list_page()


@app.post("/datasets")
@for_browsers
def add_dataset() -> Any:
    try:
        dataset_id = datasets.add(user().id, request.form.get("url", ""), request.form.get("title", ""))
    except datasets.RefusedError as error:
        return _list_page(problem=str(error)), 422
    flash("Added. The file is being fetched.")
    return redirect(url_for("show_dataset", dataset_id=dataset_id), 303)


def _list_page(problem: str = "") -> str:
    samples = sorted(path.name for path in DEMO_DATA.glob("*.csv")) if settings.DEMO else []
    return render_template(
        "datasets.html",
        datasets=datasets.of_user(user().id),
        problem=problem,
        url=request.form.get("url", ""),
        title=request.form.get("title", ""),
        samples=[request.host_url + "samples/" + name for name in samples],
    )


@app.get("/datasets/<int:dataset_id>")
@for_browsers
def show_dataset(dataset_id: int) -> Any:
    dataset = datasets.find(user().id, dataset_id) or abort(404)
    column = _chosen(dataset.columns)
    chart = _chart(column) if column else ""
    return render_template("dataset.html", dataset=dataset, chosen=column, chart=Markup(chart))


@app.get("/datasets/<int:dataset_id>/plot.svg")
@for_browsers
def show_plot(dataset_id: int) -> Any:
    dataset = datasets.find(user().id, dataset_id) or abort(404)
    column = _chosen(dataset.columns)
    if column is None or not column.years:
        abort(404)
    return Response(_chart(column), mimetype="image/svg+xml")


def _chosen(columns: list[Any]) -> Any:
    wanted = request.args.get("column")
    return next((column for column in columns if column.name == wanted), columns[0] if columns else None)


def _chart(column: Any) -> str:
    return line_chart([(year.year, year.mean) for year in column.years], f"{column.name}, mean of each year")


@app.post("/datasets/<int:dataset_id>/refresh")
@for_browsers
def refresh_dataset(dataset_id: int) -> Any:
    if not datasets.refresh(user().id, dataset_id):
        abort(404)
    flash("The file is being fetched again.")
    return redirect(url_for("show_dataset", dataset_id=dataset_id), 303)


@app.post("/datasets/<int:dataset_id>/remove")
@for_browsers
def remove_dataset(dataset_id: int) -> Any:
    if not datasets.remove(user().id, dataset_id):
        abort(404)
    flash("Removed.")
    return redirect(url_for("list_datasets"), 303)


@app.get("/samples/<name>")
def sample(name: str) -> Any:
    if not settings.DEMO:
        abort(404)
    return send_from_directory(DEMO_DATA, name, mimetype="text/csv")


@app.get("/tokens")
@for_browsers
def list_tokens() -> Any:
    return render_template("tokens.html", tokens=access.tokens_of_user(), issued=None)


@app.post("/tokens")
@for_browsers
def make_token() -> Any:
    scopes = [READ, WRITE] if request.form.get("may") == "write" else [READ]
    label = " ".join(request.form.get("label", "").split())[:60]
    issued = access.tokens.issue(user().id, scopes=scopes, label=label)
    # The only answer that ever shows the secret: the database has its hash.
    return render_template("tokens.html", tokens=access.tokens_of_user(), issued=issued), 201


@app.post("/tokens/<token_id>/revoke")
@for_browsers
def revoke_token(token_id: str) -> Any:
    if not access.revoke(token_id):
        abort(404)
    flash("Revoked. No process takes this token any more.")
    return redirect(url_for("list_tokens"), 303)


@app.errorhandler(TokenError)
@app.errorhandler(StoreUnavailable)
def refuse_token(error: TokenError | StoreUnavailable) -> Any:
    answer = access.tokens.answer(error)
    return Response(answer.body, answer.status, list(answer.headers))


@app.errorhandler(Busy)
def show_busy(_error: Busy) -> Any:
    return show_error(ServiceUnavailable("Too many log in at this moment. Try again in a moment."))


@app.errorhandler(HTTPException)
def show_error(error: HTTPException) -> Any:
    cause = getattr(error, "original_exception", None)
    code, text = error.code or 500, error.description or error.name
    if isinstance(error, InternalServerError) and isinstance(
        cause, (valkey.ConnectionError, valkey.TimeoutError, OperationalError)
    ):
        code, text = 503, "A backing service does not answer. Try again in a moment."
    if _is_api():
        return jsonify({"error": text}), code
    # Without a session, which may be what failed: this page asks nothing of any backing service.
    return render_template("error.html", code=code, text=text), code
