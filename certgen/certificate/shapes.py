"""What the pydantic models of a certificate have in common: strict shapes, and the scalars they are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Exponent = Annotated[int, Field(ge=-(1 << 14), le=1 << 14)]
Bits = Annotated[int, Field(ge=8, le=4096)]
FRACTION = "^(0|[1-9][0-9]{0,999})(/[1-9][0-9]{0,999})?$"
Fraction = Annotated[str, Field(pattern=FRACTION)]
SignedFraction = Annotated[str, Field(pattern="^(0|-?[1-9][0-9]{0,999})(/[1-9][0-9]{0,999})?$")]
Matrix = Annotated[list[Annotated[list[int], Field(min_length=1)]], Field(min_length=1)]


class Shape(BaseModel):
    """Exactly the declared fields, of exactly the declared types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_serialization_defaults_required=True
    )
