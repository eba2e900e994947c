"""A user with an app, for every test its own."""

from tests.runtime.conftest import home

__all__ = ["home"]
