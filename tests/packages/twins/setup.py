"""Two modules that share a source and compile it differently (setuptools #3942).

Both extensions compile shared.c to the same object path, with another VALUE each: `mod1.my_function()` must
return 12 and `mod2.my_function()` 42, however many jobs build them. setuptools sorts the sources, so both builders
begin with the shared one and compile their own before they link: with a plain compiler the last writer wins.
"""

from setuptools import Extension, setup


def twin(name, value):
    return Extension(
        name,
        sources=["shared.c", f"src/{name}.c"],
        include_dirs=["."],
        depends=["shared.h"],
        define_macros=[("VALUE", str(value))],
    )


setup(
    name="objguard-twins",
    version="1.0",
    py_modules=[],
    ext_modules=[twin("mod1", 12), twin("mod2", 42)],
)
