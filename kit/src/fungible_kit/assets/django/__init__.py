"""Django: add `fungible_kit.assets.django` to INSTALLED_APPS, and `{% load fungible %}` to a template."""
