from ._core import value  # noqa: F401
