"""Reading `TOLLWAY_KEK`: keys in the environment, in files that others cannot use, and in AWS KMS."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tollway.controlplane.credentials.keks import KmsKeyId, LocalKek, VaultError, kind_of, parse_keks
from tollway.controlplane.settings import Settings
from tollway.runtime.settings import Problem, SettingsError, load, redacted

KEY = b"\x11" * 32
ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def key_file(folder: Path, mode: int, text: str = KEY.hex()) -> Path:
    """A file with that content and mode."""
    path = folder / f"kek-{mode:o}"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_comes_from_the_environment_a_file_or_kms(tmp_path: Path) -> None:
    path = key_file(tmp_path, 0o440, base64.b64encode(KEY).decode() + "\n")
    assert parse_keks(f"aws-kms:{ARN}, file:{path}") == [KmsKeyId(ARN, "eu-west-1"), KEY]
    assert parse_keks("22" * 32) == [b"\x22" * 32]


@pytest.mark.parametrize("mode", [0o604, 0o640 | 0o001, 0o660, 0o777, 0o402])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Problem, match=r"others may use it; chmod 0400"):
        parse_keks(f"file:{key_file(tmp_path, mode)}")


@pytest.mark.parametrize("text", ["short", "", "x" * 5000, "ä" * 40])
def test_a_file_without_a_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(Problem, match="must hold 32 bytes") as refused:
        parse_keks(f"file:{key_file(tmp_path, 0o400, text)}")
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:kms:eu-west-1:123456789012:alias/tollway", "arn:aws:s3:::bucket", f"{ARN}\nx", ARN + "/x"]
)
def test_only_the_arn_of_a_key_names_one_in_kms(arn: str) -> None:
    with pytest.raises(Problem, match="ARN of a key"):
        parse_keks(f"aws-kms:{arn}")


def test_the_same_key_twice_is_no_rotation(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="same key twice"):
        parse_keks(f"{KEY.hex()},file:{key_file(tmp_path, 0o400)}")


def test_the_settings_say_what_is_wrong_and_show_no_key(tmp_path: Path) -> None:
    environ = {
        "TOLLWAY_DATABASE_URL": "postgresql://localhost/x",
        "TOLLWAY_FLEET_KEY": "b" * 64,
        "TOLLWAY_JOIN_TOKEN": "j" * 16,
        "TOLLWAY_ADMIN_TOKEN": "a" * 16,
    }
    path = key_file(tmp_path, 0o644)
    with pytest.raises(SettingsError, match=r"kek-644 has the mode 0644"):
        load(Settings, environ | {"TOLLWAY_KEK": f"file:{path}"})
    with pytest.raises(SettingsError, match="No such file"):
        load(Settings, environ | {"TOLLWAY_KEK": f"file:{tmp_path}/none"})
    with pytest.raises(SettingsError) as refused:
        load(Settings, environ | {"TOLLWAY_KEK": "secret-but-no-key"})
    assert "secret-but-no-key" not in str(refused.value)
    assert redacted(load(Settings, environ | {"TOLLWAY_KEK": KEY.hex()}))["TOLLWAY_KEK"] == "********"


async def test_a_wrapped_data_key_opens_for_its_id_alone() -> None:
    kek = LocalKek(KEY)
    wrapped = await kek.wrap(b"d" * 32, "one")
    assert await kek.unwrap(wrapped, "one") == b"d" * 32
    for other, data_key_id in ((kek, "two"), (LocalKek(b"\x22" * 32), "one")):
        with pytest.raises(VaultError, match="damaged"):
            await other.unwrap(wrapped, data_key_id)
    assert (kind_of(kek.name), kind_of(f"aws-kms:{ARN}")) == ("local", "aws_kms")
    assert KEY.hex() not in repr(kek) + kek.name
