"""Whose disk is a store by mistake: web processes in images, compose files and pods; whose is right."""

from __future__ import annotations

import pytest

from tests.check.manifest_sources import found, shown

pytestmark = pytest.mark.pure

COMPOSE = """
services:
  db:
    image: postgres:17
    ports: ["5432:5432"]
    volumes: [pg:/var/lib/postgresql/data]
  valkey:
    image: valkey/valkey:9
    volumes: [vk:/data]
  web:
    build: .
    command: gunicorn shop.wsgi
    ports: ["127.0.0.1:8000:8000"]
    volumes:
      - .:/app
      - ./settings:/app/settings:ro
      - /app/node_modules
      - pip-cache:/root/.cache/pip
      - media:/app/media
      - static:/app/static
      - ./uploads:/app/uploads
      - shared:/app/files
      - type: volume
        source: sqlite
        target: /app/db
      - type: volume
        source: sqlite
        target: /app/old-db
        read_only: true
  worker:
    build: .
    command: celery -A shop worker
    volumes: [media:/app/media]
  nginx:
    image: nginx:1.29
    ports: ["80:80"]
    volumes: [media:/srv/media, ./nginx.conf:/etc/nginx/nginx.conf]
  tool:
    image: somebody/dashboard:2
    ports: ["3000:3000"]
    volumes: [tool:/var/lib/tool]
volumes:
  shared:
    driver_opts: {type: nfs, o: addr=10.0.0.1}
"""


class TestCompose:
    def test_the_web_service_alone_and_what_is_data_alone(self) -> None:
        assert shown("docker-compose.yml", COMPOSE) == [
            ("FU501", 18, "likely"),
            ("FU501", 20, "likely"),
            ("FU501", 22, "likely"),
        ]

    def test_assets_and_other_peoples_images_are_possible(self) -> None:
        possible = {one.line for one in found("docker-compose.yml", COMPOSE) if one.rule == "FU501"}
        assert possible == {18, 19, 20, 22, 40}

    def test_a_file_for_development_is_possible(self) -> None:
        assert shown("docker-compose.dev.yml", COMPOSE) == []

    def test_a_file_of_another_name_is_none(self) -> None:
        assert found("services.yml", COMPOSE) == []

    def test_a_writable_root_and_one_replica_are_possible(self) -> None:
        text = "services:\n  web:\n    build: .\n    expose: [8000]\n    deploy:\n      replicas: 1\n"
        rules = [(one.rule, one.line, one.level.value) for one in found("compose.yml", text)]
        assert rules == [("FU502", 2, "possible"), ("FU301", 6, "possible")]


class TestDockerfile:
    def test_the_volume_of_a_web_image(self) -> None:
        text = """
            FROM python:3.13 AS build
            VOLUME /build-data
            FROM python:3.13-slim AS base
            # VOLUME /no
            VOLUME ["/app/media", "/tmp"]
            FROM base
            EXPOSE 8000
            CMD ["gunicorn", \\
                 "shop.wsgi"]
            """
        assert shown("Dockerfile", text) == [("FU501", 5, "likely")]

    def test_a_stores_image_keeps_its_volume_and_a_job_may(self) -> None:
        assert found("Dockerfile", "FROM postgres:17\nVOLUME /var/lib/postgresql/data\nEXPOSE 5432\n") == []
        assert found("galera/Dockerfile", "FROM ubuntu\nVOLUME /var/lib/mysql\nEXPOSE 3306 8080\n") == []
        assert shown("Dockerfile", "FROM python:3.13\nVOLUME /out\nCMD python job.py\n") == []


def pod(kind: str, container: str, volumes: str, more: str = "") -> str:
    return (
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: shop}}\nspec:\n{more}  template:\n    spec:\n"
        f"      containers:\n        - name: web\n{container}      volumes:\n{volumes}"
    )


WEB = (
    "          image: registry.example.com/shop:1\n          ports: [{containerPort: 8000}]\n"
    "          volumeMounts:\n            - {name: data, mountPath: /app/media}\n"
)


class TestPods:
    @pytest.mark.parametrize(
        ("volume", "is_found"),
        [
            ("persistentVolumeClaim: {claimName: media}", True),
            ("hostPath: {path: /srv/media}", True),
            ("hostPath: {path: /var/run/docker.sock}", False),
            ("emptyDir: {}", False),
            ("configMap: {name: a}", False),
            ("secret: {secretName: a}", False),
            ("persistentVolumeClaim: {claimName: media, readOnly: true}", False),
        ],
    )
    def test_disks_that_last(self, volume: str, is_found: bool) -> None:
        text = pod("Deployment", WEB, f"        - {{name: data, {volume}}}\n")
        assert shown("web.yaml", text) == ([("FU501", 12, "likely")] if is_found else [])

    def test_a_claim_that_many_write_to_is_attached(self) -> None:
        claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: media}\n"
        claim += "spec: {accessModes: [ReadWriteMany]}\n"
        text = pod("Deployment", WEB, "        - {name: data, persistentVolumeClaim: {claimName: media}}\n")
        assert shown("web.yaml", text, ("claim.yaml", claim)) == []

    def test_a_template_of_claims(self) -> None:
        more = "  volumeClaimTemplates:\n    - metadata: {name: data}\n      spec: {accessModes: [ReadWriteOnce]}\n"
        assert shown("web.yaml", pod("StatefulSet", WEB, "        []\n", more)) == [("FU501", 15, "likely")]

    def test_a_store_and_an_agent_keep_theirs(self) -> None:
        volumes = "        - {name: data, persistentVolumeClaim: {claimName: media}}\n"
        store = WEB.replace("registry.example.com/shop:1", "registry.example.com/library/postgres:17")
        assert found("db.yaml", pod("StatefulSet", store, volumes)) == []
        assert found("agent.yaml", pod("DaemonSet", WEB, volumes)) == []

    def test_pinned_and_writable_are_possible(self) -> None:
        more = "  replicas: 1\n  strategy:\n    type: Recreate\n"
        rules = [(one.rule, one.line) for one in found("web.yaml", pod("Deployment", WEB, "        []\n", more))]
        assert rules == [("FU301", 5), ("FU301", 7), ("FU502", 11)]
        scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {scaleTargetRef: {name: shop}}\n"
        others = [("scaler.yaml", scaler)]
        assert "FU301" not in {
            one.rule for one in found("web.yaml", pod("Deployment", WEB, "        []\n", more), *others)
        }

    def test_a_read_only_root_is_right(self) -> None:
        sealed = WEB + "          securityContext: {readOnlyRootFilesystem: true}\n"
        assert found("web.yaml", pod("Deployment", sealed, "        []\n")) == []

    def test_a_template_is_possible_and_shown_as_one(self) -> None:
        volumes = "        - {name: data, persistentVolumeClaim: {claimName: media}}\n"
        chart = WEB.replace("registry.example.com/shop:1", "{{ .Values.image }}:{{ .Values.tag }}")
        text = pod("Deployment", chart, volumes).replace("name: web", 'name: "{{ .Chart.Name }}{{ .x }}"')
        one = next(one for one in found("chart/templates/web.yaml", text) if one.rule == "FU501")
        assert one.level == "possible"
        assert one.message == "the web container {{...}} keeps files on the claim media, at /app/media"


def test_what_stands_in_a_document_of_a_dockerfile_is_no_instruction() -> None:
    text = (
        "FROM python:3.12\nEXPOSE 8000\nRUN cat <<END >made\nVOLUME /data\nEND\nVOLUME /srv/media\nCMD gunicorn app\n"
    )
    assert [each.line for each in found("Dockerfile", text)] == [6]
