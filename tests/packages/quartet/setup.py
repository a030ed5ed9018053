"""Four modules that compile three shared sources with equal flags, as most real packages do.

A build asks for 16 compiles (4 of the modules' own sources, 4 x 3 shared), but only 7 of them
differ: a guarded build runs the compiler 7 times. Who reads what:

    include/common.h   everything
    include/alpha.h    lib/alpha.c and the four modules
    include/beta.h     lib/beta.c and src/one.c
    include/gamma.h    lib/gamma.c
"""

from glob import glob

from setuptools import Extension, setup

SHARED = ["lib/alpha.c", "lib/beta.c", "lib/gamma.c"]

setup(
    name="objguard-quartet",
    version="1.0",
    py_modules=[],
    ext_modules=[
        Extension(
            name,
            sources=[f"src/{name}.c", *SHARED],
            include_dirs=["include"],
            depends=sorted(glob("include/*.h")),
        )
        for name in ("one", "two", "three", "four")
    ],
)
