"""Kernels from C++ text: compiled once, kept by content."""

import contextlib
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import threading

from . import _build, _devices
from ._errors import Error
from ._mistakes import shown

PRELUDE = """#include <cmath>
#include <troupe/runtime/kernel.hpp>
#include <troupe/runtime/module.hpp>
using namespace troupe::runtime;
#line 1 "kernel.cpp"
"""


def _cache_folder():
    base = os.environ.get("TROUPE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "troupe"
    )
    try:
        os.makedirs(base, exist_ok=True)
    except OSError as error:
        raise _unusable(base, error) from error
    return base


def _unusable(folder, error):
    hint = "TROUPE_CACHE names another folder"
    return Error("cannot_write", f'compiled kernels cannot be kept in "{folder}": {error.strerror}', hint)


def _is_whole(file):
    """Whether an object has its end, which its header tells: not one whose disk was full, or that was cut."""
    with open(file, "rb") as kept:
        header = kept.read(64)
        size = os.fstat(kept.fileno()).st_size
    if len(header) < 64 or header[:4] != b"\x7fELF":
        return False
    (sections,) = struct.unpack_from("<Q", header, 0x28)
    each, count = struct.unpack_from("<HH", header, 0x3A)
    return sections + each * count <= size


class Module:
    """A compiled module of kernels: `node.load(module)`.

    path      its file
    targets   what it has code for: "sim", and "opencl", "cuda" where troupe.kernel compiled its text for them
    left_out  for which devices it could have code and has none, and why: {"cuda": "no nvcc (…)"}
    """

    def __init__(self, path):
        try:
            self.path = os.fsdecode(path)
        except TypeError:
            raise Error("bad_argument", f"path is the path of a file, and {shown(path)} is none") from None
        self.targets, self.left_out = ("sim",), {}

    @classmethod
    def _for(cls, path, compilers, left_out):
        made = cls(path)
        made.targets, made.left_out = ("sim", *compilers), left_out
        return made

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f"<troupe.Module {self.path} for {', '.join(self.targets)}>"


def _check(source, flags, name):
    if not isinstance(source, str) or any("\ud800" <= char <= "\udfff" for char in source):
        hint = 'troupe.kernel("TROUPE_KERNEL(f)(KernelArgs& k) { … }")'
        raise Error("bad_argument", f"source is C++ text, and {shown(source)} is none", hint)
    if not isinstance(name, str) or not name or not set(name).isdisjoint('"\\\n'):
        raise Error("bad_argument", f"name is what the module is called, and {shown(name)} is no such name")
    if not isinstance(flags, (list, tuple)) or not all(isinstance(flag, str) for flag in flags):
        raise Error("bad_argument", f"flags is a list of strings, and {shown(flags)} is none", 'flags=["-O3", "-march=native"]')


def kernel(source, *, targets=None, flags=(), name="text"):
    """Compiles kernels written in C++, and returns their Module.

        module = troupe.kernel('''
        TROUPE_KERNEL(scale)(KernelArgs& k) {
          for (auto& value : k.tensor<float>(0)) value *= k.scalar<float>(0);
        }
        ''')
        node.load(module)
        node.run(lambda node: node.submit("scale", inout(x), scalar(2.0)))

    The text has any number of TROUPE_KERNEL (and TROUPE_HOST_FUNCTION); the module around it is added. The compiler is
    the one that CXX names, or g++. What was compiled once is kept by its content, in TROUPE_CACHE or ~/.cache/troupe.
    Raises Error with the compiler's words. `flags` are further flags of the compiler.

    A text that includes <troupe/runtime/device_kernel.hpp>, and nothing of the host, is for devices, too: the module has
    code for OpenCL devices where there is a clang, for CUDA devices where there is an nvcc; module.left_out says why not.
    Its lanes share the elements out: for (auto i = k.first(); i < x.size(); i += k.step()). `targets`, as ["opencl"],
    insists: an Error says what is missing. ["sim"] is for simulated chips alone.
    """
    _check(source, flags, name)
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise Error("cannot_start", "no C++ compiler to compile a kernel with", "on Debian: apt-get install g++")
    text = PRELUDE + source + f'\nTROUPE_MODULE("{name}");\n'
    command = [compiler, "-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,--build-id=sha1", *flags]
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    compilers, left_out = _devices.targets_of(source, targets)
    key = "\0".join([text, *command, version, _build.VERSION, *_build.INCLUDES, *_devices.identity(compilers)])
    cache = _cache_folder()
    file = os.path.join(cache, hashlib.sha256(key.encode()).hexdigest() + ".so")
    try:
        if os.path.exists(file) and _is_whole(file):
            return Module._for(file, compilers, left_out)
    except OSError as error:
        raise _unusable(cache, error) from error
    with tempfile.TemporaryDirectory(prefix="troupe-") as folder:
        path = os.path.join(folder, "kernel.cpp")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        made = os.path.join(folder, "kernel.so")
        includes = [f"-I{include}" for include in _build.INCLUDES]
        libraries = [f"-L{_build.LIBRARIES}", "-ltroupe_runtime"]
        images = _devices.images_of(source, compilers, folder, includes)
        done = subprocess.run([*command, *includes, path, *images, "-o", made, *libraries], capture_output=True, text=True)
        if done.returncode != 0:
            raise Error("bad_argument", f"a kernel does not compile:\n{done.stderr.strip()}")
        if not os.path.exists(made):
            hint = "flags are further ones, beside -shared and -fPIC"
            raise Error("bad_argument", f"the compiler made no module: flags are {shown(flags)}", hint)
        # Processes and threads that compile the same text at once leave one whole file.
        waiting = f"{file}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            shutil.copy(made, waiting)
            os.replace(waiting, file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.remove(waiting)
            raise _unusable(cache, error) from error
    return Module._for(file, compilers, left_out)
