"""What a finding has trained, as publishing and building releases have recorded it."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from sqlalchemy import Select, Uuid, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import PublishedModel, TrainingUse
from securetag.wire.lineage import TrainedModel, TrainingUseAnswer


async def list_training_uses(session: AsyncSession, finding_id: UUID) -> list[TrainingUseAnswer]:
    """Return the releases that a finding is in, newest first, each with the models trained on it."""
    answers: dict[UUID, TrainingUseAnswer] = {}
    for use, model in await session.execute(_select_uses(), {"finding_id": finding_id}):
        answer = answers.setdefault(
            use.id,
            TrainingUseAnswer(release=use.release, split=use.split, examples=use.examples, models=[]),
        )
        if model is not None:
            answer.models.append(TrainedModel.model_validate(model))
    return list(answers.values())


async def find_published_model(session: AsyncSession, model_id: str) -> PublishedModel | None:
    """Return what is recorded of a model's publication; None for one that was never published here."""
    return await session.get(PublishedModel, model_id)


# To build a query takes longer than PostgreSQL takes to answer it.
@cache
def _select_uses() -> Select[TrainingUse, PublishedModel]:
    return (
        select(TrainingUse, PublishedModel)
        .outerjoin(PublishedModel, PublishedModel.release == TrainingUse.release)
        .where(TrainingUse.finding_id == bindparam("finding_id", type_=Uuid))
        .order_by(TrainingUse.recorded_at.desc(), TrainingUse.split.desc(), PublishedModel.published_at)
    )
