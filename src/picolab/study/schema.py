"""The tables of a study, in any database that SQLAlchemy knows; SQLite unless told otherwise.

A study is one database: rules, pictures, sessions, answers. Of raters it holds a hash of a random
token and, for a crowd platform, a keyed hash of the platform's number: no name, no address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

metadata = MetaData()

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("settings", Text, nullable=False),  # JSON of settings.Settings
    Column("secret", LargeBinary, nullable=False),  # keys all hashes
    Column("source", Text, nullable=False),  # of the gallery: its command, codecs, versions
)
image = Table(
    "image",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),  # WebP without loss
)
picture = Table(
    "picture",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("kind", String(60), nullable=False),
    Column("crop", JSON, nullable=False),  # left, top, width, height
    Column("image", ForeignKey("image.id"), nullable=False),
)
condition = Table(
    "condition",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("codec", String(60), nullable=False),
    Column("rate", Float, nullable=False),
    UniqueConstraint("codec", "rate"),
)
stimulus = Table(
    "stimulus",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("picture", ForeignKey("picture.id"), nullable=False),
    Column("condition", ForeignKey("condition.id"), nullable=False),
    Column("bpp", Float, nullable=False),  # of the whole file
    Column("image", ForeignKey("image.id"), nullable=False),
    UniqueConstraint("picture", "condition"),
)
# Pairs with a known answer: the original beside a spoilt one.
check = Table(
    "check_pair",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),  # screen or trap
    Column("picture", ForeignKey("picture.id"), nullable=False),
    Column("artefact", String(20), nullable=False),
    Column("image", ForeignKey("image.id"), nullable=False),
)
plate = Table(
    "plate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("digit", String(4), nullable=False),
    Column("image", ForeignKey("image.id"), nullable=False),
)
session = Table(
    "session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(16), nullable=False, unique=True),  # in the file of votes
    Column("token", String(64), nullable=False, unique=True),  # SHA-256
    Column("crowd", String(64), unique=True),  # keyed hash
    Column("stage", String(12), nullable=False),  # service.Stage
    Column("seed", Integer, nullable=False),
    Column("began", BigInteger, nullable=False),  # ms since 1970
    Column("ended", BigInteger),
    Column("display", JSON),
    Column("answered", Integer, nullable=False, default=0),  # trials, without screening
)
task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", ForeignKey("session.id"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", String(8), nullable=False),  # plate, screen, pair, trap
    Column("key", String(32), nullable=False, unique=True),
    Column("picture", ForeignKey("picture.id")),
    Column("left_stimulus", ForeignKey("stimulus.id")),
    Column("right_stimulus", ForeignKey("stimulus.id")),
    Column("left_image", ForeignKey("image.id")),
    Column("right_image", ForeignKey("image.id")),
    Column("reference_image", ForeignKey("image.id")),
    Column("expected", String(8)),
    Column("how", String(8), nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("answer", String(8)),
    Column("answered", BigInteger),
    Column("response_ms", Integer),
    Column("looks", Integer),
    UniqueConstraint("session", "place"),
)
Index("task_kind", task.c.kind)
# The chooser's pairs, in the order in which they are to be shown; the last batch counts.
queue = Table(
    "queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch", Integer, nullable=False, index=True),
    Column("first", ForeignKey("stimulus.id"), nullable=False),
    Column("second", ForeignKey("stimulus.id"), nullable=False),
)
# What the chooser last found, for the admin page.
snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("taken", BigInteger, nullable=False),
    Column("ratings", JSON, nullable=False),
)


def connect(address: str | Path, new: bool = False) -> Engine:
    """The engine of a study's database: a path of an SQLite file, or a URL that SQLAlchemy knows.

    With `new` the tables are made. Raises `ValueError` for a URL or database that cannot be used,
    `FileNotFoundError` and `FileExistsError` for files that are not there or already are.
    """
    text = str(address)
    if "://" not in text:
        path = Path(text)
        if new and path.exists():
            raise FileExistsError(f"{path} is there already; a study is never written over")
        if not new and not path.exists():
            raise FileNotFoundError(f"{path}: no such study; picolab study plan makes one")
        text = f"sqlite:///{path}"
    engine: Engine | None = None
    try:
        engine = create_engine(make_url(text), pool_pre_ping=not text.startswith("sqlite"))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _pragmas)
        if new:
            if inspect(engine).get_table_names():
                raise ValueError("there are tables in this database already; take an empty one")
            metadata.create_all(engine)
        elif "study" not in inspect(engine).get_table_names():
            raise ValueError(f"{address} is no study: it has no such table")
    except BaseException as error:
        if engine is not None:
            engine.dispose()
        if isinstance(error, SQLAlchemyError | ArgumentError | ModuleNotFoundError):
            raise ValueError(f"the database cannot be used: {error}") from error
        raise
    return engine


@contextmanager
def opened(address: str | Path, new: bool = False) -> Iterator[Engine]:
    """`connect`, and every connection closed at the end."""
    engine = connect(address, new)
    try:
        yield engine
    finally:
        engine.dispose()


def _pragmas(connection, _record) -> None:
    """Readers do not wait for writers (WAL). A commit survives a killed process; `durable` makes it
    survive a lost power supply."""
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=10000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
