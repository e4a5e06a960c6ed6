"""Fixtures for pytest: `pytest_plugins = ["troupe.pytest_plugin"]` in a conftest.py.

simulation   makes simulations that end with the test: `sim = simulation(chips=2)`; its seed is `troupe_seed`
troupe_seed  one interleaving of events; the test runs once for each seed of --troupe-seeds (default: 3, from 1 on)

A test that fails shows its seed in its name, as test_it[seed4]; --troupe-seed 4 runs that one alone.
"""

import pytest

from . import testing


def pytest_addoption(parser):
    group = parser.getgroup("troupe")
    group.addoption("--troupe-seeds", type=int, default=3, help="how many interleavings each test with a simulation sees")
    group.addoption("--troupe-seed", type=int, default=None, help="only this interleaving")


def pytest_generate_tests(metafunc):
    if "troupe_seed" not in metafunc.fixturenames:
        return
    only = metafunc.config.getoption("--troupe-seed")
    seeds = [only] if only is not None else range(1, metafunc.config.getoption("--troupe-seeds") + 1)
    metafunc.parametrize("troupe_seed", seeds, ids=lambda seed: f"seed{seed}")


@pytest.fixture
def simulation(troupe_seed):
    """Makes simulations; they end with the test."""
    made = []

    def make(**options):
        made.append(testing.Simulation(**{"seed": troupe_seed, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()
