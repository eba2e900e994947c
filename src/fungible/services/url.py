"""URLs of stores in texts: found by their schemes, compared, and written anew for a copy. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from fungible.services.external import hosts_of, is_local, kind_of, sqlite_path

UNKNOWN = {
    "mysql": "MySQL",
    "mysql2": "MySQL",
    "mariadb": "MariaDB",
    "percona": "MySQL",
    "tidb": "TiDB",
    "mongodb": "MongoDB",
    "mongo": "MongoDB",
    "amqp": "RabbitMQ",
    "amqps": "RabbitMQ",
    "pyamqp": "RabbitMQ",
    "librabbitmq": "RabbitMQ",
    "rabbitmq": "RabbitMQ",
    "kafka": "Kafka",
    "confluentkafka": "Kafka",
    "nats": "NATS",
    "stomp": "a STOMP broker",
    "mqtt": "an MQTT broker",
    "mqtts": "an MQTT broker",
    "pulsar": "Pulsar",
    "beanstalk": "beanstalkd",
    "beanstalkd": "beanstalkd",
    "sqs": "SQS",
    "sentinel": "Redis Sentinel",
    "elasticsearch": "Elasticsearch",
    "opensearch": "OpenSearch",
    "cassandra": "Cassandra",
    "scylla": "ScyllaDB",
    "clickhouse": "ClickHouse",
    "clickhouses": "ClickHouse",
    "neo4j": "Neo4j",
    "bolt": "Neo4j",
    "mssql": "SQL Server",
    "sqlserver": "SQL Server",
    "oracle": "Oracle",
    "cockroachdb": "CockroachDB",
    "cockroach": "CockroachDB",
    "redshift": "Redshift",
    "snowflake": "Snowflake",
    "couchdb": "CouchDB",
    "couchbase": "Couchbase",
    "couchbases": "Couchbase",
    "rethinkdb": "RethinkDB",
    "influxdb": "InfluxDB",
    "etcd": "etcd",
    "zookeeper": "ZooKeeper",
    "zk": "ZooKeeper",
    "consul": "Consul",
    "firebird": "Firebird",
    "jdbc": "a database by JDBC",
}
"""Schemes of stores that nothing here can copy, and what people call them."""

_HTTP_STORES = re.compile(
    r"(?:^|_)(ELASTIC(?:SEARCH)?|OPENSEARCH|SOLR|COUCHDB|INFLUX(?:DB)?|CLICKHOUSE|MEILI(?:SEARCH)?|TYPESENSE|ARANGO(?:DB)?|"
    r"WEAVIATE|QDRANT|CHROMA|MINIO)(?:_|$)"
)
_PORTS = {"valkey": 6379, "postgres": 5432, "memcached": 11211}
# What ends a URL inside a text; commas part the brokers of Celery, and PostgreSQL's hosts only in a whole one.
_WHOLE = re.compile(
    r"\s*((?:jdbc:)?([A-Za-z][A-Za-z0-9]*)(\+[A-Za-z0-9_]+)?:(?://|(?<=jdbc:))\S*)\s*\Z", re.IGNORECASE
)
_INSIDE = re.compile(
    r"(?<![A-Za-z0-9+.:/-])((?:jdbc:)?([A-Za-z][A-Za-z0-9]*)(\+[A-Za-z0-9_]+)?://[^\s\"'`<>|;,(){}\\]*)",
    re.IGNORECASE,
)
_CONNINFO = re.compile(r"\s*(?:[a-z_]+\s*=\s*(?:'[^']*'|\S+)\s*)+\Z")
_ODBC = re.compile(
    r"(?i)(?:^|;)\s*(?:server|data source|host|driver)\s*=.*;\s*(?:database|initial catalog|uid|user id)\s*="
)
_HOST_AND_PORT = re.compile(r"\s*(?:[\w.-]+:\d{1,5}|/\S+\.sock)(?:[,;\s]+[\w.-]+:\d{1,5})*\s*\Z")
# Of a URL's query, what belongs to the server that is left behind and not to the app's use of it (libpq, "Parameter
# Key Words"; Valkey clients' from_url).
_OF_THE_SERVER = re.compile(
    r"(?:host|hostaddr|port|user|password|dbname|passfile|service|target_session_attrs|channel_binding|krbsrvname|"
    r"require_auth|load_balance_hosts|(?:ssl|gss)\w*|virtual_host|db|username)\Z"
)


@dataclass(frozen=True)
class StoreUrl:
    """A store's URL at `start` to `end` of a text. `kind` is one of ours, or None; `what` is for people."""

    url: str
    start: int
    end: int
    kind: str | None
    what: str

    @property
    def local(self) -> bool:
        """Whether it is on this machine, as far as the text tells."""
        return self.kind in ("sqlite", "folder") or all(is_local(host) for host in hosts_of(self.url))

    @property
    def host(self) -> str:
        """The first host, for people; never a password."""
        return next(iter(hosts_of(self.url)), "")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is reached: `HOST:PORT` (port `*` where it is not known), or the path of a socket."""
        if self.kind in ("sqlite", "folder"):
            return ()
        return addresses_of(self.url, self.kind)

    @property
    def place(self) -> tuple[str, ...]:
        """Equal for URLs that name the same store. All databases of a Valkey server are one store."""
        if self.kind == "sqlite":
            return ("sqlite", str(sqlite_path(self.url)))
        if self.kind == "folder":
            return ("folder", self.url)
        where = tuple(sorted("127.0.0.1" + address[9:] if address.startswith("localhost:") else address
                             for address in self.addresses))  # fmt: skip
        database = ""
        if self.kind == "postgres":
            named = dict(parse_qsl(urlsplit(self.url).query)).get("dbname") if "://" in self.url else self.url
            database = named or unquote(urlsplit(self.url).path.lstrip("/"))
        return (self.kind or self.what, database, *where)


def find_store_urls(name: str, text: str) -> tuple[StoreUrl, ...]:
    """The stores that `text` names, the value of the config var `name` (empty for other texts).

    Found are URLs by scheme, wherever in the text they stand; libpq's and ODBC's connection strings; and what
    only the variable's name gives away (`MEMCACHED_SERVERS=127.0.0.1:11211`, `ELASTICSEARCH_URL=http://...`).
    """
    whole = _WHOLE.match(text)
    if whole is not None and text.count("://") <= 1:
        found = _classified(name, text, whole[1], whole.start(1), whole[2])
        return (found,) if found is not None else ()
    inside = [_classified(name, text, match[1], match.start(1), match[2]) for match in _INSIDE.finditer(text)]
    urls = tuple(each for each in inside if each is not None)
    if urls or not name:
        return urls
    everything = (text.strip(), 0, len(text))
    if _CONNINFO.match(text) and re.search(r"(?:^|\s)(dbname|host|hostaddr|service)\s*=", text):
        return (StoreUrl(*everything, "postgres", "PostgreSQL"),)
    if _ODBC.search(text):
        return (StoreUrl(*everything, None, "a database by ODBC"),)
    if "MEMCACHE" in name.upper() and _HOST_AND_PORT.match(text):
        return (StoreUrl(*everything, "memcached", "memcached"),)
    return ()


_PEOPLE_SAY = {
    "valkey": "Valkey",
    "postgres": "PostgreSQL",
    "memcached": "memcached",
    "sqlite": "SQLite",
    "folder": "a folder",
}


def _classified(name: str, text: str, url: str, start: int, scheme: str) -> StoreUrl | None:
    word = scheme.lower()
    if url.lower().startswith("jdbc:"):
        word = "jdbc"
    end = start + len(url)
    if word == "unix" and not re.search("redis|valkey", name + url, re.IGNORECASE):
        return None  # many things listen on Unix sockets
    kind = kind_of(url)
    if kind == "sqlite" and sqlite_path(url) is None:
        return None  # in memory
    if re.search(r"\+(sentinel|cluster)\Z", url.partition("://")[0].lower()):
        return StoreUrl(url, start, end, None, "a cluster of servers")
    if word != "jdbc" and kind is not None:
        return StoreUrl(url, start, end, kind, _PEOPLE_SAY[kind])
    if word in UNKNOWN:
        return StoreUrl(url, start, end, None, UNKNOWN[word])
    store = _HTTP_STORES.search(name.upper()) if word in ("http", "https") else None
    return StoreUrl(url, start, end, None, store[1].capitalize()) if store else None


def addresses_of(url: str, kind: str | None) -> tuple[str, ...]:
    """`HOST:PORT` of every host in `url` (port `*` where neither it nor its kind says one), or a socket's path."""
    if "://" not in url and kind == "postgres":  # libpq's words
        words = dict(re.findall(r"(\w+)\s*=\s*'?([^\s']+)", url))
        hosts = (words.get("hostaddr") or words.get("host") or "").split(",")
        return tuple(_at(host, words.get("port", "5432")) for host in hosts)
    if "://" not in url:
        return tuple(
            part if part.startswith("/") else _at(*part.rpartition(":")[::2])
            for part in re.split(r"[,;\s]+", url.strip())
        )
    parts = urlsplit(url.removeprefix("jdbc:"))
    if parts.scheme == "unix" or parts.scheme.endswith("+socket"):
        return (unquote(parts.path),)
    query = dict(parse_qsl(parts.query))
    usual = query.get("port") or str(_PORTS.get(kind or "", "*"))
    found = []
    for entry in parts.netloc.rsplit("@", 1)[-1].split(","):
        match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?", unquote(entry))
        if match and match[1]:
            found.append(_at(match[1], match[2] or usual))
    found += [_at(host, usual) for key in ("host", "hostaddr") for host in query.get(key, "").split(",") if host]
    return tuple(found) or (_at("localhost", usual),)


def _at(host: str, port: str) -> str:
    if host.startswith("/"):
        return f"{host}/.s.PGSQL.{port}"
    return f"{host or 'localhost'}:{port}"


def rewritten(url: str, copy: str, kind: str) -> str:
    """`copy`, the URL of a copy, in the form of `url`: its scheme and driver, its database number, and of its query
    what is not about the server."""
    if "://" not in url:
        return copy.removeprefix("memcached://") if kind == "memcached" else copy
    if "://" not in copy:
        return f"{url.partition('://')[0]}://{copy}" if kind == "memcached" else copy
    old, new = urlsplit(url), urlsplit(copy)
    query = urlencode([(key, value) for key, value in parse_qsl(old.query) if not _OF_THE_SERVER.match(key)])
    scheme, path = url.partition("://")[0], new.path
    if kind == "valkey":
        number = old.path.strip("/") if old.scheme != "unix" and not old.scheme.endswith("+socket") else ""
        number = (
            number or dict(parse_qsl(old.query)).get("db", "") or dict(parse_qsl(old.query)).get("virtual_host", "")
        )
        scheme = "valkey" if scheme.startswith("valkey") else "redis"
        path = f"/{quote(number or '0')}"
    if kind == "sqlite":
        return f"{scheme}://{copy.partition('://')[2]}" + (f"?{query}" if query else "")
    return urlunsplit((scheme, new.netloc, path, query, ""))
