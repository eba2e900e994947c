"""The web process: pages and a JSON API. A request brings all it needs; a process keeps nothing after it."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import valkey
from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
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
from werkzeug.exceptions import HTTPException, InternalServerError

from almanac import accounts, datasets, settings, store
from almanac.database import User, reading
from almanac.migrate import DEMO_DATA, DEMO_USERS
from almanac.plot import line_chart, number
from almanac.sessions import ValkeySessions
from fungible_kit.assets import install, wsgi

app = Flask(__name__, static_folder=None)
app.wsgi_app = wsgi(app.wsgi_app)  # type: ignore[method-assign]
install(app.jinja_env)
app.session_interface = ValkeySessions()
app.config.update(MAX_CONTENT_LENGTH=64 * 1024, SECURE_COOKIES=lambda: request.is_secure)
app.jinja_env.filters["number"] = number
app.jinja_env.filters["time"] = lambda at: time.strftime("%d %b %Y, %H:%M UTC", time.gmtime(at))
app.jinja_env.globals.update(process=settings.PROCESS, release=settings.RELEASE)

View = Callable[..., Any]


def _is_api() -> bool:
    return request.path.startswith("/api/")


def for_users(view: View) -> View:
    """Let only users in: a page sends others to log in, the API answers 401."""

    @wraps(view)
    def guarded(*args: Any, **keywords: Any) -> Any:
        user_id = session.get("user")
        if user_id is not None:
            with reading() as rows:
                g.user = rows.scalar(select(User).where(User.id == user_id))
        if g.get("user") is None:
            return abort(401) if _is_api() else redirect(url_for("show_login"), 303)
        return view(*args, **keywords)

    return guarded


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
        session.get("user") is None
        or request.endpoint == "log_in"
        or accounts.right_token(request.form.get("token", ""), session.sid)
    ):
        abort(400, "This form is out of date. Go back, load the page again and repeat.")


@app.context_processor
def form_token() -> dict[str, Any]:
    return {"form_token": lambda: accounts.form_token(session.sid)}


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
    user = accounts.log_in(name, password)
    if user is None:
        page = render_template(
            "login.html", name=name, problem="Wrong name or password.", demo=DEMO_USERS if settings.DEMO else {}
        )
        return page, 401
    session.renew()
    session["user"] = user.id
    return redirect(url_for("list_datasets"), 303)


@app.post("/logout")
def log_out() -> Any:
    session.clear()
    return redirect(url_for("show_login"), 303)


@app.get("/")
@for_users
def list_datasets() -> Any:
    return _list_page()


@app.post("/datasets")
@for_users
def add_dataset() -> Any:
    try:
        dataset_id = datasets.add(g.user.id, request.form.get("url", ""), request.form.get("title", ""))
    except datasets.RefusedError as error:
        return _list_page(problem=str(error)), 422
    flash("Added. The file is being fetched.")
    return redirect(url_for("show_dataset", dataset_id=dataset_id), 303)


def _list_page(problem: str = "") -> str:
    samples = sorted(path.name for path in DEMO_DATA.glob("*.csv")) if settings.DEMO else []
    return render_template(
        "datasets.html",
        datasets=datasets.of_user(g.user.id),
        problem=problem,
        url=request.form.get("url", ""),
        title=request.form.get("title", ""),
        samples=[request.host_url + "samples/" + name for name in samples],
    )


@app.get("/datasets/<int:dataset_id>")
@for_users
def show_dataset(dataset_id: int) -> Any:
    dataset = datasets.find(g.user.id, dataset_id) or abort(404)
    column = _chosen(dataset.columns)
    chart = _chart(column) if column else ""
    return render_template("dataset.html", dataset=dataset, chosen=column, chart=Markup(chart))


@app.get("/datasets/<int:dataset_id>/plot.svg")
@for_users
def show_plot(dataset_id: int) -> Any:
    dataset = datasets.find(g.user.id, dataset_id) or abort(404)
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
@for_users
def refresh_dataset(dataset_id: int) -> Any:
    if not datasets.refresh(g.user.id, dataset_id):
        abort(404)
    flash("The file is being fetched again.")
    return redirect(url_for("show_dataset", dataset_id=dataset_id), 303)


@app.post("/datasets/<int:dataset_id>/remove")
@for_users
def remove_dataset(dataset_id: int) -> Any:
    if not datasets.remove(g.user.id, dataset_id):
        abort(404)
    flash("Removed.")
    return redirect(url_for("list_datasets"), 303)


@app.get("/samples/<name>")
def sample(name: str) -> Any:
    if not settings.DEMO:
        abort(404)
    return send_from_directory(DEMO_DATA, name, mimetype="text/csv")


@app.get("/api/datasets")
@for_users
def api_list() -> Any:
    return jsonify([datasets.as_json(dataset) for dataset in datasets.of_user(g.user.id)])


@app.post("/api/datasets")
@for_users
def api_add() -> Any:
    body = request.get_json()
    url, title = (body.get("url"), body.get("title", "")) if isinstance(body, dict) else (None, "")
    if not isinstance(url, str) or not isinstance(title, str):
        abort(422, 'Send an object with "url" and, if you like, "title", both text.')
    try:
        dataset_id = datasets.add(g.user.id, url, title)
    except datasets.RefusedError as error:
        abort(422, str(error))
    dataset = datasets.find(g.user.id, dataset_id) or abort(404)
    return jsonify(datasets.as_json(dataset)), 201, {"Location": url_for("api_show", dataset_id=dataset_id)}


@app.get("/api/datasets/<int:dataset_id>")
@for_users
def api_show(dataset_id: int) -> Any:
    dataset = datasets.find(g.user.id, dataset_id) or abort(404)
    return jsonify(datasets.as_json(dataset, columns=True))


@app.delete("/api/datasets/<int:dataset_id>")
@for_users
def api_remove(dataset_id: int) -> Any:
    return ("", 204) if datasets.remove(g.user.id, dataset_id) else abort(404)


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
