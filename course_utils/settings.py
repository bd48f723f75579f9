"""Settings of a run: checked, never changed, and shown without what is switched off."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from course_utils.errors import RecipeError


class Settings(BaseModel):
    """Named values that are checked when they are given, and cannot be changed afterwards.

    Raises
    ------
    RecipeError
        For a setting that does not exist, or a value that it cannot have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            setting = ".".join(map(str, first["loc"]))
            what = f"{setting} = {first['input']!r}" if setting else "these settings together"
            raise RecipeError(
                f"{type(self).__name__} cannot have {what}: {first['msg']}."
            ) from error

    def __repr_args__(self):
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return [(name, value) for name, value in self if value or value != defaults[name]]
