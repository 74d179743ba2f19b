"""What a study's database holds, read back: raw votes, sessions, pictures, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Engine, select

from picolab.study import schema
from picolab.study.ballots import Ballots, from_rows
from picolab.study.schema import session, task
from picolab.study.service import Service
from picolab.study.settings import Settings


def settings(engine: Engine) -> Settings:
    """The rules of the study."""
    with engine.connect() as connection:
        return Settings.from_json(connection.execute(select(schema.study.c.settings)).scalar_one())


def rows(engine: Engine) -> Iterator[dict[str, object]]:
    """Every answered task in the form of `ballots.COLUMNS`, by session and place."""
    with engine.connect() as connection:
        stimuli = {
            number: (codec, rate, bpp)
            for number, codec, rate, bpp in connection.execute(
                select(
                    schema.stimulus.c.id,
                    schema.condition.c.codec,
                    schema.condition.c.rate,
                    schema.stimulus.c.bpp,
                ).join(schema.condition, schema.condition.c.id == schema.stimulus.c.condition)
            )
        }
        columns = (schema.picture.c.id, schema.picture.c.name)
        pictures = {number: name for number, name in connection.execute(select(*columns))}
        found = connection.execute(
            select(task, session.c.name, session.c.began)
            .join(session, session.c.id == task.c.session)
            .where(task.c.answer.is_not(None))
            .order_by(task.c.session, task.c.place)
        )
        for row in found:
            values: dict[str, object] = {
                "rater": row.name,
                "trial": row.place,
                "kind": row.kind,
                "picture": pictures.get(row.picture, ""),
                "answer": row.answer,
                "expected": row.expected or "",
                "how": row.how,
                "response_ms": row.response_ms,
                "looks": row.looks,
                "seconds": f"{(row.answered - row.began) / 1000:.1f}",
            }
            for side, number in (("left", row.left_stimulus), ("right", row.right_stimulus)):
                if number is not None:
                    codec, rate, bpp = stimuli[number]
                    values |= {
                        f"{side}_codec": codec,
                        f"{side}_rate": f"{rate:g}",
                        f"{side}_bpp": f"{bpp:.6g}",
                    }
            yield values


def ballots(engine: Engine) -> Ballots:
    """The votes, with nothing rounded but bits per pixel."""
    return from_rows({name: str(value) for name, value in row.items()} for row in rows(engine))


def progress(engine: Engine) -> dict[str, int]:
    """How many sessions are in each stage, and answered tasks of each kind."""
    with engine.connect() as connection:
        stages = Counter(connection.execute(select(session.c.stage)).scalars())
        kinds = Counter(
            connection.execute(select(task.c.kind).where(task.c.answer.is_not(None))).scalars()
        )
    return {
        **{f"sessions {k}": v for k, v in stages.items()},
        **{f"answers {k}": v for k, v in kinds.items()},
    }


def codes(service: Service) -> Iterator[dict[str, object]]:
    """Sessions that ended, with the completion codes that their raters were shown."""
    with service.engine.connect() as connection:
        columns = (session.c.name, session.c.stage, session.c.answered)
        for name, stage, answered in connection.execute(select(*columns)):
            if stage == "done":
                yield {"rater": name, "code": service.code(name), "answered": answered}
