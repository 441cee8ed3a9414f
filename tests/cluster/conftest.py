"""A cluster of two nodes for the whole session; the second one is made again for every test."""

import nodes
import pytest


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def pipeline(place):
    return nodes.pipeline(place)


@pytest.fixture(scope="session")
def whole(place, pipeline):
    """The run of one process: what its files hold, and how long it took."""
    seconds = nodes.alone(pipeline, place / "whole")
    return nodes.bytes_of(place / "whole"), seconds


@pytest.fixture(scope="session")
def stub(place):
    """What every machine does before it becomes the program: nothing, unless a test writes it there."""
    path = place / "before.sh"
    path.write_text("")
    return path


@pytest.fixture(scope="session")
def program(place, stub):
    """What the machines run as the program."""
    path = place / "aqlens"
    path.write_text(f'#!/bin/sh\n. {stub}\nexec {nodes.AQLENS} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def head(program):
    nodes.start(nodes.HEAD, AQLENS=program)
    yield
    nodes.end(nodes.HEAD)


@pytest.fixture
def second(head, program):
    nodes.start(nodes.SECOND, AQLENS=program)
    yield
    nodes.end(nodes.SECOND)


@pytest.fixture(scope="session")
def tiny_whole(place):
    """What the files of one process's run of the tiny pipeline hold."""
    nodes.alone(nodes.tiny(place), place / "tiny-whole")
    return nodes.bytes_of(place / "tiny-whole")
