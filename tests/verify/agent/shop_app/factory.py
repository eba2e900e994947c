from flask import Flask, current_app


def create_app():
    app = Flask(__name__)
    carts = {}  # declared: factory
    app.extensions["notes"] = {}

    @app.get("/cart")
    def cart():
        carts["ann"] = 1  # writes: factory
        return str(len(carts))

    @app.get("/note")
    def note():
        current_app.extensions["notes"]["ann"] = 1  # writes: factory extension
        return str(len(current_app.extensions["notes"]))

    return app
