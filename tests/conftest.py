"""For all tests: the hypothesis profile and the golden files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "engine" / "golden"

settings.register_profile(
    "boreas", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("boreas")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`golden("name.txt", text)`: the text must be what the file says."""

    def compare(name: str, text: str, folder: Path = GOLDEN) -> None:
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{name} is missing; run pytest with --update-golden and read it"
        assert text == path.read_text(encoding="utf-8")

    return compare
