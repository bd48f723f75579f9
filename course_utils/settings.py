"""Settings of a run: checked, never changed, and shown without what is switched off."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Named values that are checked when they are given, and cannot be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self):
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return [(name, value) for name, value in self if value or value != defaults[name]]
