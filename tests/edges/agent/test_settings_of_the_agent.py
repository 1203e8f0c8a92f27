"""Options, environment, token files: what wins, and what is refused with a word to mend it."""

import pytest

from boreas.agent.settings import read_settings
from boreas.domain.errors import InvalidInput
from boreas.transport.dial import TransportMode
from boreas.transport.tokens import EnrolToken

TOKEN = EnrolToken(server="boreas.example:8443", ca_pin=bytes(32), secret="s3cret").reveal()


def test_the_token_names_the_server():
    settings = read_settings(["--token", TOKEN, "--name", "a1", "--data-dir", "/d"], {})

    assert settings.servers == ("boreas.example:8443",)
    assert settings.token.secret == "s3cret"
    assert settings.transport is TransportMode.AUTO


def test_options_win_over_the_environment():
    environment = {"BOREAS_SERVER": "env:1", "BOREAS_NAME": "env", "BOREAS_DATA_DIR": "/env"}

    settings = read_settings(["--server", "option:2,option:3"], environment)

    assert settings.servers == ("option:2", "option:3")
    assert settings.name == "env"
    assert str(settings.data_dir) == "/env"


def test_labels_come_from_options_or_the_environment():
    some = read_settings(["--label", "zone=a", "--label", "role=web"], {"BOREAS_LABELS": "x=y"})
    other = read_settings([], {"BOREAS_LABELS": "x=y,z=1"})

    assert some.labels == {"zone": "a", "role": "web"}
    assert other.labels == {"x": "y", "z": "1"}


def test_a_token_is_read_from_a_file_and_never_shown(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")

    settings = read_settings([], {"BOREAS_TOKEN_FILE": str(tmp_path / "token")})

    assert settings.token.secret == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--label", "nonsense"], "--label: 'nonsense' is not KEY=VALUE"),
        (["--token-file", "/no/such"], "--token-file: No such file or directory"),
        (["--token", "boreas1.x"], "damaged; copy it again"),
        (["--server", "no-port"], "is not host:port"),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason(argv, said):
    with pytest.raises(InvalidInput, match=said.replace("(", "\\(")):
        read_settings(argv, {})


def test_what_a_builder_keeps_of_its_cache_is_a_size():
    assert read_settings([], {}).build_cache == "20GB"
    assert read_settings([], {"BOREAS_BUILD_CACHE": "5GB"}).build_cache == "5GB"
    for wrong in ("5", "1.5GB", "5GB --all", ""):
        with pytest.raises(InvalidInput, match="--build-cache"):
            read_settings(["--build-cache", wrong], {})
