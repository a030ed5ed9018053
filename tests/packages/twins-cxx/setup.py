"""The twins in C++: two modules share shared.cpp and its static object.

`mod1.my_function()` must return 12 and `mod2.my_function()` 42.
"""

from setuptools import Extension, setup


def twin(name, value):
    return Extension(
        name,
        sources=["shared.cpp", f"src/{name}.cpp"],
        include_dirs=["."],
        depends=["shared.hpp"],
        define_macros=[("VALUE", str(value))],
        language="c++",
    )


setup(
    name="objguard-twins-cxx",
    version="1.0",
    py_modules=[],
    ext_modules=[twin("mod1", 12), twin("mod2", 42)],
)
