import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pace

pace.hurry()

import pytest
from agb import AGB
from agb.session_params import CreateSessionParams
from loguru import logger

logger.remove()

CODE_IMAGE = "agb-code-space-1"


def new_name(kind):
    return f"{kind}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def agb():
    """A client whose key nobody else has: it owns nothing yet."""
    return AGB(api_key=new_name("key"))


@pytest.fixture(scope="module")
def shared_agb():
    return AGB(api_key=new_name("key"))


@pytest.fixture(scope="module")
def session(shared_agb):
    """One code session for all tests of a file."""
    session = create(shared_agb)
    yield session
    assert shared_agb.delete(session).success


@pytest.fixture
def context(agb):
    result = agb.context.create(new_name("context"))
    assert result.success, result.error_message
    return result.context


def create(agb, image=CODE_IMAGE, **params):
    result = agb.create(CreateSessionParams(image_id=image, **params))
    assert result.success, result.error_message
    return result.session


def shell(session, command, **arguments):
    """What a command that goes well prints."""
    result = session.command.execute(command, timeout_ms=arguments.pop("timeout_ms", 20_000), **arguments)
    assert result.success, result.error_message
    return result.stdout
