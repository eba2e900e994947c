"""What is affinity in nginx, HAProxy, Traefik, Caddy, Apache and Envoy, and what only looks like it."""

from __future__ import annotations

import pytest

from tests.check.manifest_sources import found, shown

pytestmark = pytest.mark.pure

NGINX = """
worker_processes auto;
http {
    # ip_hash; is what we had before
    map $cookie_sid $by_session { default $cookie_sid; }
    upstream shop {
        ip_hash;
        server 10.0.0.1:8000 weight=2;
    }
    upstream api {
        hash "$remote_addr$http_user_agent" consistent;
        server 10.0.0.1:8001;
    }
    upstream basket { hash $by_session; server a:1; }
    upstream pictures { hash $request_uri consistent; server a:1; }
    upstream plus {
        sticky cookie srv_id
            expires=1h;
        server a:1;
    }
    upstream plain { least_conn; keepalive 16; server a:1; }
    server {
        listen 80;
        location ~ \\.(jpg|png)$ { proxy_pass http://pictures; }
        location / { proxy_pass http://shop; add_header X "ip_hash; }"; }
    }
}
stream {
    upstream postgres { hash $remote_addr; server db:5432; }
}
"""


class TestNginx:
    def test_each_upstream_with_affinity_is_found_at_its_line(self) -> None:
        assert shown("deploy/nginx.conf", NGINX) == [
            ("FU401", 6, "certain"),
            ("FU401", 10, "certain"),
            ("FU401", 13, "likely"),
            ("FU401", 16, "certain"),
        ]

    def test_a_finding_names_directive_and_upstream(self) -> None:
        one = found("nginx.conf", NGINX)[0]
        assert one.message == "`ip_hash` keeps a client at one server of upstream shop"
        assert (one.symbol, one.column) == ("shop.ip_hash", 9)

    def test_a_stream_is_possible_only(self) -> None:
        assert [(one.line, one.level.value) for one in found("nginx.conf", NGINX)][-1] == (28, "possible")

    @pytest.mark.parametrize(
        ("key", "level"),
        [
            ("$binary_remote_addr", "certain"),
            ("$http_x_forwarded_for", "certain"),
            ("${cookie_JSESSIONID}", "certain"),
            ("$http_x_session_id", "likely"),
            ("$arg_token", "likely"),
            ("$uri", None),
            ("$scheme$proxy_host$request_uri", None),
            ("$host", None),
            ("$arg_page", None),
            ("$remote_addr$remote_port", None),
            ("$http_accept_language", None),
            ("$request_id", None),
        ],
    )
    def test_a_hash_is_affinity_where_its_key_tells_clients_apart(self, key: str, level: str | None) -> None:
        text = f"upstream a {{\n  hash {key} consistent;\n  server b:1;\n}}\n"
        assert shown("a.conf", text) == ([("FU401", 2, level)] if level else [])

    @pytest.mark.parametrize("path", ["redis.conf", "setup.cfg", "app.py", "notes/upstream.conf"])
    def test_another_file_is_not_read_as_nginx(self, path: str) -> None:
        assert found(path, "upstream = x\nip_hash;\nbalance source\ncookie A insert\n") == []

    def test_a_config_map_holds_nginx(self) -> None:
        text = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: proxy}
            data:
              shop.conf: |
                upstream shop {
                  ip_hash;
                }
            """
        assert shown("k8s/proxy.yaml", text) == [("FU401", 7, "certain")]


HAPROXY = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
frontend web
    bind :80
    stick-table type ip size 100k expire 30s store http_req_rate(10s)
    http-request track-sc0 src
    http-request deny if { sc_http_req_rate(0) gt 20 }
    default_backend shop
backend shop
    balance roundrobin
    cookie SRV insert indirect nocache   # keep them
    server a 10.0.0.1:80 check cookie a
    server b 10.0.0.2:80 check cookie b
backend idle
    cookie SRV insert
    server a 10.0.0.1:80
backend limited
    stick-table type ip size 1m expire 10m store gpc0
    balance uri
    server a 10.0.0.1:80
backend tables
    stick-table type string len 32 size 1m
    stick on req.cook(sid)
    server a 10.0.0.1:80
listen api
    bind :81
    balance source
    server a 10.0.0.1:80
backend headers
    balance hdr(Authorization)
backend hosts
    balance hdr(host)
backend hashed
    balance hash src
backend redis
    mode tcp
    balance source
    server a 10.0.0.1:6379
"""


class TestHaproxy:
    def test_what_keeps_a_client_is_found_and_what_counts_or_caches_is_not(self) -> None:
        assert shown("haproxy/haproxy.cfg", HAPROXY) == [
            ("FU402", 14, "certain"),
            ("FU402", 26, "certain"),
            ("FU402", 30, "certain"),
            ("FU402", 33, "likely"),
            ("FU402", 37, "certain"),
        ]

    def test_tcp_and_a_cookie_that_names_no_server_are_possible(self) -> None:
        levels = {one.line: one.level.value for one in found("haproxy.cfg", HAPROXY)}
        assert (levels[18], levels[40]) == ("possible", "possible")

    def test_a_setup_cfg_is_none_of_it(self) -> None:
        assert found("setup.cfg", "[metadata]\nname = x\n[options]\nbalance source\n") == []


class TestTraefik:
    def test_a_service_of_the_file_provider(self) -> None:
        text = """
            http:
              routers:
                shop: {rule: Host(`a`), service: shop}
              services:
                shop:
                  loadBalancer:
                    sticky:
                      cookie:
                        name: srv
                    servers: [{url: http://a}]
                plain:
                  loadBalancer:
                    servers: [{url: http://b}]
            """
        (one,) = found("traefik/dynamic.yml", text)
        assert (one.rule, one.line, one.message) == ("FU403", 7, "`sticky` of shop keeps a client at one server")

    def test_labels_are_one_finding_a_service(self) -> None:
        text = """
            services:
              shop:
                image: ${IMAGE}
                labels:
                  - traefik.enable=true
                  - traefik.http.services.shop.loadbalancer.sticky.cookie=true
                  - traefik.http.services.shop.loadbalancer.sticky.cookie.name=srv
              other:
                image: ${IMAGE}
                deploy:
                  labels:
                    traefik.http.services.other.loadbalancer.sticky: "false"
            """
        assert shown("compose.yaml", text) == [("FU403", 6, "certain")]

    def test_toml_and_its_own_kinds(self) -> None:
        toml = "[http.services.a.loadBalancer]\n  [http.services.a.loadBalancer.sticky.cookie]\n    name = 's'\n"
        assert shown("dynamic.toml", toml) == [("FU403", 2, "certain")]
        route = """
            apiVersion: traefik.io/v1alpha1
            kind: IngressRoute
            spec:
              routes:
                - match: Host(`a`)
                  services:
                    - name: a
                      sticky:
                        cookie: {}
            """
        assert shown("route.yaml", route) == [("FU403", 8, "certain")]

    def test_the_word_elsewhere_is_nothing(self) -> None:
        assert found("theme.yml", "header:\n  sticky: true\nloadBalancer:\n  sticky: {}\n") == []


def test_caddy() -> None:
    text = """
        example.com {
            reverse_proxy a:80 b:80 {
                lb_policy cookie srv secret
            }
            reverse_proxy /i/* a:80 b:80 {
                lb_policy uri_hash
            }
            reverse_proxy /h/* a:80 {
                lb_policy header X-Session-Id
            }
            # lb_policy ip_hash
        }
        """
    assert shown("Caddyfile", text) == [("FU403", 3, "certain"), ("FU403", 9, "likely")]
    json = '{"apps": {"http": {"handle": [{\n"load_balancing": {"selection_policy":\n{"policy": "ip_hash"}}}]}}}'
    assert shown("caddy.json", json) == [("FU403", 3, "certain")]


def test_apache() -> None:
    text = """
        <Proxy "balancer://shop">
            BalancerMember "http://a:80" route=1
            ProxySet lbmethod=byrequests \\
                stickysession=ROUTEID
        </Proxy>
        # ProxyPass / balancer://old stickysession=X
        ProxyPass "/" "balancer://shop/" stickysession=JSESSIONID|jsessionid
        """
    assert shown("sites/000-shop.conf", text) == [("FU403", 3, "certain"), ("FU403", 7, "certain")]


def test_envoy() -> None:
    text = """
        static_resources:
          listeners:
            - filter_chains:
                - filters:
                    - typed_config:
                        http_filters:
                          - name: envoy.filters.http.stateful_session
                            typed_config:
                              session_state: {name: cookie}
                        route_config:
                          virtual_hosts:
                            - routes:
                                - route:
                                    hash_policy:
                                      - cookie: {name: srv, ttl: 0s}
                                      - header: {header_name: ":path"}
                                      - connection_properties: {source_ip: true}
          clusters:
            - {name: a, lb_policy: RING_HASH}
        """
    assert shown("envoy.yaml", text) == [
        ("FU403", 7, "certain"),
        ("FU403", 15, "certain"),
        ("FU403", 17, "certain"),
    ]
