"""Each rule over manifests finds its wrong example and not its right one; hostile files are read without harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.mend import CLASSES
from fungible.check import manifests
from fungible.check.finding import Rule
from fungible.check.manifests.syntax import blocks, hcl, nodes, words
from tests.check.manifest_sources import found

pytestmark = pytest.mark.pure

FILES = {
    "FU401": "nginx.conf",
    "FU402": "haproxy.cfg",
    "FU403": "traefik/dynamic.yml",
    "FU404": "k8s/service.yaml",
    "FU405": "main.tf",
    "FU406": "main.tf",
    "FU501": "compose.yaml",
    "FU502": "compose.yaml",
}
PIECES = st.lists(
    st.sampled_from(
        ["upstream", "a", "{", "}", ";", '"', "'", "\\", "#", "$", "${", "=", "[", "]", "<<", "EOT", "\n", " "]
    )
    | st.text(max_size=3),
    max_size=60,
).map("".join)


@pytest.mark.parametrize("rule", manifests.RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_its_wrong_example_and_not_its_right_one(rule: Rule) -> None:
    assert rule.id in {one.rule for one in found(FILES[rule.id], rule.wrong)}
    assert rule.id not in {one.rule for one in found(FILES[rule.id], rule.right)}
    assert rule.topic in CLASSES


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in manifests.RULES}) == len(manifests.RULES)


def within(text: str, line: int, column: int) -> bool:
    lines = text.split("\n")
    return 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1


@given(PIECES)
def test_any_text_is_read_and_places_lie_within_it(text: str) -> None:
    for token in blocks.tokens(text):
        assert within(text, token.line, token.column)
    for directive in blocks.directives(text):
        assert within(text, directive.line, directive.column)
    for block in (inner for each in hcl.blocks(text) for inner in each.everywhere()):
        assert within(text, block.line, block.column)
        assert all(within(text, each.line, each.column) for each in block.attributes)
    for line in words.lines(text):
        assert within(text, line.line, line.column)
    for json in (False, True):
        for root in nodes.documents(text, json=json):
            for _, node in root.mappings():
                assert within(text, node.line, 1)


@given(
    st.lists(
        st.sampled_from(["a", "b: 1", "- c", "{{ x }}", "{% if %}", "  d: {{ y }}", "---", "&x *x"]), max_size=12
    )
)
def test_templates_of_yaml_are_read_line_by_line(lines: list[str]) -> None:
    list(nodes.documents("\n".join(lines)))


def deep(opening: str, closing: str) -> str:
    return opening * 20_000 + closing * 20_000


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
HOSTILE = {
    "bomb.yaml": "services: {}\nvolumes: {}\n" + BOMB,
    "merges.yaml": "kind: x\nvolumes:\n" + MERGES,
    "self.yaml": "kind: &a {volumes: *a, sticky: *a}\n",
    "deep.json": deep("[", "]") + '"sticky"',
    "deep.yaml": deep("{sticky: ", "}"),
    "deep.tf": deep("a {\n", "}\n"),
    "open.tf": '"' + "${" * 50_000,
    "calls.tf": 'a = "' + "${a}" * 2_000 + "\n",
    "deep/nginx.conf": "upstream a {\n" + deep("a {", "}"),
    "quotes/nginx.conf": "upstream a {\n" + "\"'" * 50_000,
    "marks/nginx.conf": "upstream a {\n" + "${" * 100_000,
    "long/haproxy.cfg": "backend a\n  server " + 'a"' * 200_000 + "\n",
    "marks.yaml": "kind: x\nvolume: " + "{{" * 50_000,
    "signs.yaml": "kind: x\nvolume: " + "{%" * 50_000,
    "Dockerfile": "VOLUME " + "\\\n" * 50_000,
    "stages/Dockerfile": "VOLUME a\n" + "".join(f"FROM s{n} AS s{n + 1}\nRUN a\n" for n in range(3_000)),
    "table.toml": "[" + "a." * 20_000 + "\n",
    "compose.yaml": "services: {a: {image: '"
    + "postgres" * 10_000
    + "', build: ., volumes: ['"
    + "a/" * 10_000
    + ":/a']}}\n",
    "Caddyfile": "lb_policy " * 50_000,
    "apache.conf": "ProxySet stickysession=" + "\\\n" * 20_000,
}


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_files_are_read_in_bounded_time(path: str) -> None:
    began = time.process_time()
    found(path, HOSTILE[path])
    assert time.process_time() - began < 20
