"""SQLAlchemy's asyncio extension without its ORM, which we do not use: 6 MB, a tenth of a start.

Imported by `boreas.store` before anything of the extension. Its own `__init__` imports the sessions
of the ORM; here the package is there with what we need of it, and with all else on demand.
"""

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

_PACKAGE: Final = "sqlalchemy.ext.asyncio"
_NEEDED: Final = ("AsyncConnection", "AsyncEngine", "create_async_engine")


def _is_loaded() -> bool:
    return _PACKAGE in sys.modules


def _load_the_engine_alone() -> None:
    spec = find_spec(_PACKAGE)
    assert spec is not None
    package = module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    vars(sys.modules["sqlalchemy.ext"])["asyncio"] = package
    engine = importlib.import_module(f"{_PACKAGE}.engine")
    for name in _NEEDED:
        setattr(package, name, getattr(engine, name))

    def the_rest(name: str) -> Any:
        """Whoever asks for more gets the whole package after all."""
        if name.startswith("__"):
            raise AttributeError(name)
        del package.__getattr__
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(package)
        return getattr(package, name)

    package.__getattr__ = the_rest  # type: ignore[method-assign]


if not _is_loaded():
    _load_the_engine_alone()
