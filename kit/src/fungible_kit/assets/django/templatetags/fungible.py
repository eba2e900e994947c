"""`{% asset "css/site.css" %}` and `{% asset_tags "src/main.js" %}`."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString, mark_safe

from fungible_kit.assets import tags

register = template.Library()


@register.simple_tag  # type: ignore[untyped-decorator]
def asset(name: str) -> str:
    """The URL of an asset."""
    return tags.asset(name)


@register.simple_tag  # type: ignore[untyped-decorator]
def asset_tags(*names: str, nonce: str | None = None) -> SafeString:
    """The tags that load assets."""
    return mark_safe(tags.asset_tags(*names, nonce=nonce))
