"""Modules in a namespace package (no __init__.py at the top), with equal base names in several folders.

space.left._core, space.right._core and space.right.deep._core each compile a core.c of their own and the
shared lib/core.c, with another VALUE each: 1, 2 and 3.
"""

from setuptools import Extension, find_namespace_packages, setup


def core(package, value):
    folder = package.replace(".", "/")
    return Extension(
        f"{package}._core",
        sources=[f"src/{folder}/core.c", "lib/core.c"],
        include_dirs=["lib"],
        define_macros=[("VALUE", str(value))],
    )


setup(
    name="objguard-nested",
    version="1.0",
    package_dir={"": "src"},
    packages=find_namespace_packages("src"),
    ext_modules=[
        core("space.left", 1),
        core("space.right", 2),
        core("space.right.deep", 3),
    ],
)
