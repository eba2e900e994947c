"""Makes the tables and a few rows to start with."""

from werkzeug.security import generate_password_hash

from almanac_sticky.models import Base, Dataset, Setting, User, database, engine

DATASETS = (
    ("Weather", "weather", 420),
    ("Harvest", "harvest", 65),
    ("Rivers", "rivers", 120),
    ("Tides", "tides", 365),
)


def migrate() -> None:
    Base.metadata.create_all(engine)
    with database() as session:
        if session.get(User, "ann") is None:
            session.add_all(
                User(name=name, password_hash=generate_password_hash(password))
                for name, password in (("ann", "apple-pie"), ("bob", "blueberry"))
            )
            session.add_all(
                Dataset(title=title, url=f"https://data.example/{name}.csv", rows=rows)
                for title, name, rows in DATASETS
            )
            session.add(Setting(name="page_size", value="3"))


if __name__ == "__main__":
    migrate()
