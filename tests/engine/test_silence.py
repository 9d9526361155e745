"""Streams that are silent for longer than any idle limit, while all other tests run.

They are opened when the first test starts and looked at by the last: peers cut them after their
timeout, users find a dead `docker attach` after lunch. DSP_SILENCE_SECONDS makes it an hour.
"""

import os
import time

import pytest
from conftest import TEST_SECONDS
from silence import Silent

LEAST_SECONDS = float(os.environ.get("DSP_SILENCE_SECONDS", "75"))
ENGINE_IDLE_SECONDS = 300  # after that the Engine itself closes a connection without a request


@pytest.fixture(params=["direct", "proxied"])
def silent(request: pytest.FixtureRequest, silent_streams: dict[str, Silent]) -> Silent:
    streams = silent_streams[request.param]
    time.sleep(max(0.0, streams.since + LEAST_SECONDS - time.monotonic()))
    return streams


pytestmark = pytest.mark.deadline(int(LEAST_SECONDS) + TEST_SECONDS)


def test_an_idle_connection_still_responds(silent):
    """The pool of an SDK: a request on a connection that was idle for long."""
    if time.monotonic() - silent.since > ENGINE_IDLE_SECONDS - 10:
        pytest.skip("idle for so long that the Engine itself closes the connection")
    assert silent.idle.roundtrip("GET", "/_ping").body == b"OK"


def test_a_slow_upload_goes_on(silent):
    """docker load from a slow pipe: the upload that paused is completed and accepted."""
    silent.upload.send(silent.rest_of_upload)
    assert silent.upload.response("PUT").status == 200


def test_half_closed_attach_still_delivers(silent):
    """Input ended long ago, the container works on: its late output arrives, then the end."""
    silent.containers.signal(silent.late, "USR1")
    assert silent.half_closed.output() == {1: b"late\n"}


def test_exec_still_listens(silent):
    """A forgotten exec: the first word after a long time gets its output."""
    silent.exec.send(b"word\n")
    assert silent.exec.output() == {1: b"got word\n"}


def test_attach_and_its_followers(silent):
    """The attached container is still there, and its end reaches who follows its logs, waits for
    it, or listens to events."""
    silent.attach.send(b"word\n")
    assert silent.attach.output() == {1: b"got word\n"}
    assert b"".join(silent.logs.chunks()).endswith(b"got word\n")
    assert b'"StatusCode":0' in b"".join(silent.wait.chunks())
    assert b'"die"' in silent.events.chunk()
