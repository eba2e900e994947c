"""Log in, log out, and the page of the one who is logged in."""

import secrets

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from werkzeug.security import check_password_hash

from almanac_sticky.limits import too_many_failures
from almanac_sticky.models import User, database

accounts = Blueprint("accounts", __name__)

logged_in: dict[str, str] = {}  # token in the cookie -> user


def current_user() -> str | None:
    return logged_in.get(request.cookies.get("token", ""))


@accounts.get("/login")
def show_login() -> str:
    return render_template("login.html")


@accounts.post("/login")
def log_in() -> Response:
    name = request.form["user"]
    with database() as session:
        user = session.get(User, name)
    if user is None or not check_password_hash(user.password_hash, request.form["password"]):
        if too_many_failures(name):
            abort(429)
        abort(401)
    token = secrets.token_urlsafe(24)
    logged_in[token] = name
    response = redirect("/account", 303)
    response.set_cookie("token", token, httponly=True, samesite="Lax")
    return response


@accounts.post("/logout")
def log_out() -> Response:
    logged_in.pop(request.cookies.get("token", ""), None)
    response = make_response(redirect("/login", 303))
    response.delete_cookie("token")
    return response


@accounts.get("/account")
def account() -> str | Response:
    user = current_user()
    if user is None:
        return redirect("/login", 303)
    return render_template("account.html", user=user)
