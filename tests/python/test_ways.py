"""Every way in which people build extensions in parallel, under each setuptools: the modules must be right."""

from __future__ import annotations

import zipfile

import pytest

from conftest import DISTINCT_COMPILES, VALUES, Space

TWINS = ("twins", "twins-cxx")


def test_plain_serial_is_the_truth(space: Space, setuptools_version: str) -> None:
    """What all other tests take for granted: serially the plain compiler builds every package right."""
    for package, values in VALUES.items():
        space.fresh(package)
        calls = space.build_ext(way="plain")
        assert space.built(package) == values
        assert calls.requests == DISTINCT_COMPILES[package]


@pytest.mark.parametrize("package", TWINS)
def test_build_ext_j(space: Space, setuptools_version: str, package: str, rounds: int) -> None:
    """setup.py build_ext -jN."""
    for _ in range(rounds):
        space.fresh(package)
        calls = space.build_ext(jobs=2)
        assert space.built(package) == VALUES[package]
        assert (calls.compiles, calls.links) == (4, 2)


@pytest.mark.parametrize("package", TWINS)
def test_dist_extra_config(space: Space, setuptools_version: str, package: str, rounds: int) -> None:
    """setup.py build, made parallel by DIST_EXTRA_CONFIG."""
    config = space.parallel_config(2)
    for _ in range(rounds):
        space.fresh(package)
        space.python("setup.py", "build", "--build-platlib", "out", DIST_EXTRA_CONFIG=config)
        assert space.built(package) == VALUES[package]
        assert space.calls().compiles == 4


@pytest.mark.parametrize("package", TWINS)
def test_pip_install(space: Space, setuptools_version: str, package: str) -> None:
    """pip install . in isolation."""
    space.fresh(package)
    site = space.folder / "site"
    space.python(
        *("-m", "pip", "install", "--no-cache-dir", "--no-deps", "--target", str(site), "."),
        DIST_EXTRA_CONFIG=space.parallel_config(2),
        **space.isolated(setuptools_version),
    )
    assert space.values(site, package) == VALUES[package]
    assert space.calls().compiles == 4


@pytest.mark.parametrize("package", TWINS)
def test_pip_wheel(space: Space, setuptools_version: str, package: str) -> None:
    """pip wheel . in isolation; the wheel says which setuptools made it (since they do: 71)."""
    space.fresh(package)
    isolated = space.isolated(setuptools_version)
    space.python(
        *("-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", str(space.folder / "wheels"), "."),
        DIST_EXTRA_CONFIG=space.parallel_config(2),
        **isolated,
    )
    [wheel] = (space.folder / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(space.folder / "site")
        [about] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/WHEEL")]
    assert space.values(space.folder / "site", package) == VALUES[package]
    exact = isolated["EXACT_SETUPTOOLS"]
    if int(exact.split(".")[0]) >= 71:
        assert f"Generator: setuptools ({exact})" in about
    assert space.calls().compiles == 4


@pytest.mark.parametrize("package", ("quartet", "nested", "pool"))
def test_other_packages(space: Space, setuptools_version: str, package: str, rounds: int) -> None:
    """Shared sources with equal flags; a namespace package; a pool of threads inside each builder."""
    for _ in range(rounds):
        space.fresh(package)
        calls = space.build_ext(jobs=4)
        assert space.built(package) == VALUES[package]
        assert calls.compiles == calls.requests == DISTINCT_COMPILES[package]


@pytest.mark.parametrize("cflags", ("", "-flto", "-flto=auto", "-g -O2", "-g -O0 -flto"))
def test_byte_for_byte(space: Space, cflags: str, rounds: int) -> None:
    """Guarded and parallel gives the very modules that plain and serial gives, with no more compiles than needed."""
    more = {"CFLAGS": cflags, "CXXFLAGS": cflags} if cflags else {}
    for package in VALUES:
        space.fresh(package)
        space.build_ext(way="plain", **more)
        truth = space.hashes()
        assert len(truth) == len(VALUES[package])
        for _ in range(rounds // 2 or 1):
            space.fresh(package)
            calls = space.build_ext(jobs=4, **more)
            assert space.hashes() == truth, package
            assert calls.compiles == DISTINCT_COMPILES[package]
