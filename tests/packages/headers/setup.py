"""Two modules that include headers of packages which an isolated build installs anew each time.

HEADERS=numpy: only that one; the other takes long to compile.
"""

import os

import numpy
import pybind11
from setuptools import Extension, setup

modules = [Extension("with_numpy", ["src/with_numpy.c"], include_dirs=[numpy.get_include()])]
if os.environ.get("HEADERS") != "numpy":
    modules.append(Extension("with_pybind11", ["src/with_pybind11.cpp"], include_dirs=[pybind11.get_include()], language="c++"))

setup(name="headers", version="1.0", packages=[], ext_modules=modules)
