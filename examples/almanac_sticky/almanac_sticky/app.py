"""The app: every part in a module of its own."""

from flask import Flask

from almanac_sticky.accounts import accounts
from almanac_sticky.basket import basket
from almanac_sticky.catalogue import catalogue
from almanac_sticky.exports import exports
from almanac_sticky.settings import settings
from almanac_sticky.sharing import sharing
from almanac_sticky.styles import stylesheet_url
from almanac_sticky.uploads import uploads

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
app.jinja_env.globals["stylesheet_url"] = stylesheet_url
for part in (accounts, basket, catalogue, exports, settings, sharing, uploads):
    app.register_blueprint(part)
