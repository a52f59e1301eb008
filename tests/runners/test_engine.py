"""The engine: its absence, its facts, and that each wait comes to an end."""

import socket
import threading
import time

import pytest

from runners.engine import DEFAULT_URL, connect
from runners.errors import EngineBroken, EngineMissing
from runners.leftovers import new_name
from runners.limits import Limits
from runners.posture import NONROOT_USER, Posture, container_config


@pytest.mark.parametrize("url", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense://x"])
def test_missing_engine_names_both_ways_out(url):
    with pytest.raises(EngineMissing) as caught:
        connect(url)
    message = str(caught.value)
    assert url in message
    assert "apt-get install docker.io" in message
    assert "PROCTOR_ENGINE" in message
    assert not caught.value.refused


def test_environment_names_the_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker-host.sock")
    with pytest.raises(EngineMissing, match="docker-host"):
        connect()
    monkeypatch.setenv("PROCTOR_ENGINE", "unix:///nowhere/proctor.sock")
    with pytest.raises(EngineMissing, match=r"proctor\.sock"):
        connect()


def test_something_that_is_no_engine(tmp_path):
    path = tmp_path / "engine.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises((EngineMissing, EngineBroken)):
        connect(f"unix://{path}")
    thread.join()
    server.close()


@pytest.mark.engine
def test_facts_are_there(engine):
    facts = engine.facts()
    assert facts.version
    assert facts.kernel
    assert facts.default_runtime in facts.runtimes
    assert facts.memory_bytes > 0
    assert engine.url.startswith(DEFAULT_URL.partition("/")[0]) or engine.url


@pytest.mark.engine
def test_waiting_ends_and_removing_twice_is_fine(engine, vendor):
    config = container_config(vendor("stays"), posture=Posture(), limits=Limits(), user=NONROOT_USER)
    container = engine.create(config, new_name())
    try:
        stream = engine.attach(container)
        engine.start(container)
        assert stream.read(time.monotonic() + 10) == (1, b'{"ready": true}\n')
        assert engine.state(container).running
        began = time.monotonic()
        assert not engine.wait(container, 1)
        assert time.monotonic() - began < 5
        engine.kill(container)
        assert engine.wait(container, 10)
        assert engine.state(container).exit_code == 137
        engine.kill(container)
        stream.close()
    finally:
        engine.remove(container)
        engine.remove(container)
    engine.kill(container)
    assert engine.wait(container, 1)


@pytest.mark.engine
def test_a_container_of_no_image_is_an_error_without_the_engine_s_wording(engine):
    config = container_config("no-such-image", posture=Posture(), limits=Limits(), user=NONROOT_USER)
    with pytest.raises(EngineBroken) as caught:
        engine.create(config, new_name())
    assert "no-such-image" not in str(caught.value)
