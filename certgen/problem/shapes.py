"""What the pydantic models of a problem have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from certgen.certificate.shapes import Shape

# Tokens, positions, states and answers are sizes of arrays; no file that can be read has larger ones.
Index = Annotated[int, Field(ge=0, lt=1 << 31)]
Size = Annotated[int, Field(ge=1, lt=1 << 31)]


def misfit(place: str, what: str) -> PydanticCustomError:
    """The error for fields that do not fit together; `place` is the one to change."""
    return PydanticCustomError("misfit", "{what}", {"place": place, "what": what})


def without_null(schema: dict[str, Any]) -> None:
    """Of the JSON Schema of an object: a field that may be left out is not null, and has no default to show."""
    for field in schema["properties"].values():
        if field.get("default", "") is None:
            (given,) = (option for option in field.pop("anyOf") if option.get("type") != "null")
            del field["default"]
            field.update(given)


class Partial(Shape):
    """A shape some of whose fields may be left out; they are never null in a file, and None here."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False, json_schema_extra=without_null)

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, dict) else ():
            if value is None:
                raise misfit(name, "null is no value: leave the field out")
        return data

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def] # else: any object
        return {name: value for name, value in handler(self).items() if value is not None}
