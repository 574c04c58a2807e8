"""What every table of a configuration is made of: the base of the structs, and types of values."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=2**62)]
Natural = Annotated[int, Meta(ge=0, le=2**62)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]  # 0 <= x < 1
Factor = Annotated[float, Meta(gt=0, le=1)]
CallableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
RunName = Annotated[str, Meta(pattern=r"^\w[\w.+-]*$")]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table."""
