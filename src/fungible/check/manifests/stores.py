"""Images of third parties: stores, whose disk is meant to last, and other programs that are not the app."""

from __future__ import annotations

import re

STORE_PORTS = frozenset(
    str(port) for port in (5432, 3306, 6379, 27017, 9092, 5672, 9042, 9200, 11211, 2379, 1433, 1521, 8086, 26257)
)

_STORES = re.compile(
    r"(?i)(?:^|[/_.-])(?:postgres\w*|postgis|pgvector|timescale\w*|mysql|mariadb|percona|mongo\w*|redis|valkey|keydb"
    r"|dragonfly|memcached|elasticsearch|opensearch|solr|meilisearch|typesense|rabbitmq|kafka|redpanda|zookeeper|nats"
    r"|activemq|artemis|pulsar|minio|seaweedfs|garage|ceph|cassandra|scylla\w*|couchdb|couchbase|influx\w*|clickhouse"
    r"|questdb|victoria-?metrics|neo4j|arangodb|dgraph|etcd\w*|consul|vault|cockroach\w*|yugabyte\w*|mssql\w*|oracle\w*"
    r"|qdrant|weaviate|chroma|milvus|rethinkdb|surrealdb|rqlite|eventstore|registry|verdaccio|nexus\w*|artifactory"
    r"|prometheus|grafana|loki|tempo|mimir|jaeger|zipkin|graphite|alertmanager|kibana|logstash|filebeat|fluent\w*"
    r"|vector|otel\w*|telegraf|netdata|cadvisor|datadog|sentry|graylog"
    r"|nginx\S*|openresty|httpd|apache|traefik|caddy\S*|haproxy|envoy\w*|varnish|squid|certbot|acme\S*|letsencrypt\S*|swag"
    r"|keycloak|authelia|authentik|dex|ldap|openldap|pgadmin\d*|adminer|phpmyadmin|portainer\S*|dozzle|watchtower"
    r"|mailhog|mailpit|maildev|mailcatcher|postfix|localstack|gitea|gogs|gitlab\S*|jenkins|drone\S*|sonarqube|airflow"
    r"|wordpress|ghost|nextcloud|owncloud|drupal|joomla|mediawiki|matomo|metabase|superset|nodered|node-red"
    r"|homeassistant|home-assistant|mosquitto|emqx|ollama|jupyter\S*|selenium|chromium|browserless|backup\w*|db|database)"
    r"(?:$|[/_.:@-])"
)


def is_store(name: str) -> bool:
    """Whether a name or an image is a store, or a program of others beside the app.

    The host of an image's registry is none of its name: a first part with a dot or a port.
    """
    host, slash, rest = name.partition("@")[0].partition("/")
    image = rest if slash and ("." in host or ":" in host or host == "localhost") else host + slash + rest
    return _STORES.search(image) is not None
