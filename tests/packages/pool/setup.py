"""Three modules whose sources are compiled by a pool of threads inside each extension's build.

pybind11's ParallelCompile and numpy's replace `CCompiler.compile` in this way, so the thread that links an
extension is not one of those that compiled it. Each module shares four sources, with another VALUE each, and
adds them up: first 4 x 1 = 4, second 4 x 10 = 40, third 4 x 100 = 400. POOL_THREADS sets the threads.
"""

import os
from multiprocessing.pool import ThreadPool

from setuptools import Extension, setup

# setuptools puts its own distutils there; it must be imported after setuptools.
import distutils.ccompiler

SHARED = [f"part{number}.c" for number in range(1, 5)]


def compile_in_a_pool(
    self,
    sources,
    output_dir=None,
    macros=None,
    include_dirs=None,
    debug=False,
    extra_preargs=None,
    extra_postargs=None,
    depends=None,
):
    macros, objects, extra_postargs, pp_opts, build = self._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs
    )
    cc_args = self._get_cc_args(pp_opts, debug, extra_preargs)

    def compile_one(obj):
        source, suffix = build[obj]
        self._compile(obj, source, suffix, cc_args, extra_postargs, pp_opts)

    with ThreadPool(int(os.environ.get("POOL_THREADS", "4"))) as pool:
        # list(), because it also passes on what went wrong in a thread.
        list(pool.imap(compile_one, objects))
    return objects


distutils.ccompiler.CCompiler.compile = compile_in_a_pool

setup(
    name="objguard-pool",
    version="1.0",
    py_modules=[],
    ext_modules=[
        Extension(name, sources=[f"{name}.c", *SHARED], define_macros=[("VALUE", str(value))])
        for name, value in (("first", 1), ("second", 10), ("third", 100))
    ],
)
