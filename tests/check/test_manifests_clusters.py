"""What is affinity in Kubernetes, Terraform, CloudFormation, Azure and other platforms, and what is not."""

from __future__ import annotations

import pytest

from tests.check.manifest_sources import found, shown

pytestmark = pytest.mark.pure


class TestKubernetes:
    def test_services_of_one_file_each_at_its_line(self) -> None:
        text = """
            apiVersion: v1
            kind: Service
            metadata: {name: shop}
            spec:
              sessionAffinity: ClientIP
              sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}
              ports: [{port: 80}]
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: plain}
            spec:
              sessionAffinity: None
            ---
            : {broken
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: api}
            spec:
              sessionAffinity: ClientIP
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: redis}
            spec:
              sessionAffinity: ClientIP
              ports: [{port: 6379}]
            """
        assert shown("k8s/all.yaml", text) == [("FU404", 5, "certain"), ("FU404", 21, "certain")]

    @pytest.mark.parametrize(
        ("annotation", "is_affinity"),
        [
            ("nginx.ingress.kubernetes.io/affinity: cookie", True),
            ('nginx.ingress.kubernetes.io/upstream-hash-by: "$remote_addr"', True),
            ('nginx.ingress.kubernetes.io/upstream-hash-by: "$request_uri"', False),
            ("nginx.ingress.kubernetes.io/affinity-mode: persistent", False),
            ("alb.ingress.kubernetes.io/target-group-attributes: a=b,stickiness.enabled=true", True),
            ("alb.ingress.kubernetes.io/target-group-attributes: stickiness.enabled=false", False),
            ('traefik.ingress.kubernetes.io/service.sticky.cookie: "true"', True),
            ("nginx.org/lb-method: ip_hash", True),
            ("nginx.org/lb-method: least_conn", False),
            ("haproxy.org/cookie-persistence: srv", True),
        ],
    )
    def test_annotations(self, annotation: str, is_affinity: bool) -> None:
        text = f"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  annotations:\n    {annotation}\n"
        assert shown("ingress.yaml", text) == ([("FU404", 5, "certain")] if is_affinity else [])

    def test_a_pods_affinity_is_about_nodes(self) -> None:
        text = """
            apiVersion: apps/v1
            kind: Deployment
            spec:
              template:
                spec:
                  affinity: {podAntiAffinity: {}}
                  containers: [{name: a, image: a, ports: [{containerPort: 80}]}]
            """
        assert shown("a.yaml", text) == []

    @pytest.mark.parametrize(
        ("balancer", "is_affinity"),
        [
            ("consistentHash: {httpCookie: {name: a, ttl: 0s}}", True),
            ("consistentHash: {useSourceIp: true}", True),
            ("consistentHash: {httpHeaderName: x-session-id}", True),
            ("consistentHash: {httpHeaderName: x-shard}", False),
            ("simple: LEAST_REQUEST", False),
        ],
    )
    def test_istio(self, balancer: str, is_affinity: bool) -> None:
        text = (
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nspec:\n  trafficPolicy:\n    loadBalancer:\n"
            f"      {balancer}\n"
        )
        assert [rule for rule, _, _ in shown("rule.yaml", text)] == (["FU404"] if is_affinity else [])

    def test_gateway_api(self) -> None:
        text = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            spec:
              rules:
                - sessionPersistence: {sessionName: a, type: Cookie}
            """
        assert shown("route.yaml", text) == [("FU404", 5, "certain")]

    def test_a_template_of_helm_is_read_without_crying(self) -> None:
        text = """
            {{- if .Values.enabled }}
            apiVersion: v1
            kind: Service
            metadata:
              name: {{ include "shop.fullname" . }}
              labels:
                {{- include "shop.labels" . | nindent 4 }}
            spec:
              sessionAffinity: {{ .Values.affinity }}
              ports:
                {{- range .Values.ports }}
                - port: {{ .port }}
                {{- end }}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: "{{ .Release.Name }}-b"}
            spec:
              sessionAffinity: ClientIP
            {{- end }}
            """
        assert shown("chart/templates/service.yaml", text) == [("FU404", 19, "certain")]

    def test_values_of_a_chart(self) -> None:
        text = "service:\n  sessionAffinity: ClientIP\nredis:\n  service:\n    sessionAffinity: ClientIP\n"
        assert shown("chart/values.yaml", text) == [("FU404", 2, "likely")]
        assert shown("charts/prometheus/values.yaml", text) == []


class TestTerraform:
    def test_resources_each_at_its_line(self) -> None:
        text = """
            # stickiness { enabled = true }
            resource "aws_lb_target_group" "web" {
              name = "web-${var.env}"
              stickiness {
                type            = "lb_cookie"
                cookie_duration = 3600
              }
            }
            resource "aws_lb_target_group" "off" {
              stickiness {
                enabled = false
                type    = "lb_cookie"
              }
            }
            resource "aws_lb_target_group" "var" {
              stickiness {
                enabled = var.sticky
                type    = "lb_cookie"
              }
            }
            resource "google_compute_backend_service" "web" {
              session_affinity = "GENERATED_COOKIE"
            }
            resource "google_compute_backend_service" "off" { session_affinity = "NONE" }
            resource "azurerm_linux_web_app" "web" {
              site_config {}
              client_affinity_enabled = true
            }
            resource "azurerm_linux_web_app" "silent" { site_config {} }
            resource "kubernetes_service" "web" {
              spec {
                session_affinity = "ClientIP"
              }
            }
            resource "heroku_app_feature" "sticky" {
              name = "http-session-affinity"
            }
            module "alb" {
              target_groups = {
                web = {
                  stickiness = { enabled = true, type = "lb_cookie" }
                }
              }
              rules = { a = { weighted_forward = { stickiness = { enabled = true, duration = 60 } } } }
            }
            resource "aws_lb_listener" "web" {
              default_action {
                forward {
                  stickiness { enabled = true }
                }
              }
            }
            resource "aws_lb_target_group" "each" {
              dynamic "stickiness" {
                for_each = var.stickiness
                content {
                  enabled = stickiness.value.enabled
                }
              }
            }
            resource "aws_s3_object" "x" {
              content = <<-EOT
                resource "aws_lb_target_group" "no" { stickiness {} }
              EOT
            }
            resource "aws_app_cookie_stickiness_policy" "web" {
              cookie_name = "sid"
            }
            """
        assert shown("infra/main.tf", text) == [
            ("FU405", 4, "certain"),
            ("FU405", 22, "certain"),
            ("FU406", 27, "certain"),
            ("FU404", 32, "certain"),
            ("FU405", 35, "certain"),
            ("FU405", 41, "likely"),
            ("FU405", 66, "certain"),
        ]


class TestTemplates:
    def test_cloudformation(self) -> None:
        text = """
            Resources:
              Web:
                Type: AWS::ElasticLoadBalancingV2::TargetGroup
                Properties:
                  VpcId: !Ref Vpc
                  TargetGroupAttributes:
                    - Key: deregistration_delay.timeout_seconds
                      Value: "30"
                    - Key: stickiness.enabled
                      Value: "true"
              Off:
                Properties:
                  TargetGroupAttributes: [{Key: stickiness.enabled, Value: false}]
            """
        assert shown("template.yaml", text) == [("FU405", 9, "certain")]

    def test_app_engine_cloud_run_and_heroku(self) -> None:
        assert shown("app.yaml", "runtime: python\nnetwork:\n  session_affinity: true\n") == [("FU405", 3, "certain")]
        run = "apiVersion: serving.knative.dev/v1\nkind: Service\nspec:\n  template:\n    metadata:\n"
        run += "      annotations:\n        run.googleapis.com/sessionAffinity: 'true'\n"
        assert shown("service.yaml", run) == [("FU405", 7, "certain")]
        heroku = '{"scripts": {\n"postdeploy": "heroku features:enable http-session-affinity"}}\n'
        assert shown("app.json", heroku) == [("FU405", 2, "certain")]

    def test_azure(self) -> None:
        text = """
            {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
             "resources": [
            \t{"type": "Microsoft.Web/sites", "name": "shop", "properties": {"httpsOnly": true}},
            \t{"type": "Microsoft.Web/sites", "name": "on", "properties": {
            \t\t"clientAffinityEnabled": true}},
            \t{"type": "Microsoft.Web/sites", "name": "off", "properties": {"clientAffinityEnabled": false}},
            \t{"type": "Microsoft.Web/sites", "name": "f", "kind": "functionapp,linux", "properties": {"a": 1}}
             ]}
            """
        assert shown("azuredeploy.json", text) == [("FU406", 3, "likely"), ("FU406", 5, "certain")]
        (one,) = found("azuredeploy.json", text)[:1]
        assert one.message == "the App Service shop does not switch client affinity off"
