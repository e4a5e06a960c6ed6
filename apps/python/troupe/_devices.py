"""Code for devices in modules that are compiled from text: what troupe_device_images of CMake does."""

import os
import shutil
import subprocess

from ._errors import Error
from ._mistakes import shown

#: A text that includes it is written for devices, too; as in C++.
HEADER = "troupe/runtime/device_kernel.hpp"
PRELUDE = f'#include <{HEADER}>\nusing namespace troupe::runtime;\n#line 1 "kernel.cpp"\n'

_MISSING = {
    "opencl": ("no clang that knows C++ for OpenCL", "on Debian: apt-get install clang; TROUPE_CLANG names another one"),
    "cuda": ("no nvcc", "it comes with NVIDIA's CUDA toolkit; TROUPE_NVCC says where it is"),
}


_VERSIONS = range(19, 13, -1)
_CLANG_NAMES = ["clang", *(f"clang-{version}" for version in _VERSIONS)]
_SPIRV_NAMES = ["llvm-spirv", *(f"llvm-spirv-{version}" for version in _VERSIONS)]


def _first(variable, *names):
    """The compiler that the variable names, or the first of those that are there; None: there is none."""
    named = os.environ.get(variable)
    return next((found for found in map(shutil.which, [named] if named else names) if found), None)


def _clang():
    return _first("TROUPE_CLANG", *_CLANG_NAMES)


def _nvcc():
    return _first("TROUPE_NVCC", "nvcc", "/usr/local/cuda/bin/nvcc")


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def _knows_opencl(clang):
    return _run([clang, "-x", "cl", "-cl-std=clc++2021", "-target", "spir64", "-fsyntax-only", "/dev/null"]) is not None


def targets_of(source, targets):
    """The devices that a text is compiled for, each with its compiler; and why not for others."""
    if targets is None:
        wanted = ["opencl", "cuda"] if HEADER in source else []
    elif isinstance(targets, (list, tuple)) and all(isinstance(one, str) and one in ("sim", *_MISSING) for one in targets):
        wanted = [one for one in _MISSING if one in targets]
    else:
        what = f"targets is a list of sim, opencl and cuda, and {shown(targets)} is none"
        raise Error("bad_argument", what, 'targets=["opencl"]')
    found = {"opencl": _clang() if "opencl" in wanted else None, "cuda": _nvcc() if "cuda" in wanted else None}
    if found["opencl"] is not None and not _knows_opencl(found["opencl"]):
        found["opencl"] = None
    left_out = {one: f"{_MISSING[one][0]} ({_MISSING[one][1]})" for one in wanted if found[one] is None}
    if targets is not None and left_out:
        missing = next(iter(left_out))
        raise Error("cannot_start", f"no code for {missing} devices: {_MISSING[missing][0]}", _MISSING[missing][1])
    return {one: found[one] for one in wanted if found[one] is not None}, left_out


def _architectures(nvcc):
    """Of which GPUs: the newest that this nvcc knows, of those that are tried."""
    named = os.environ.get("TROUPE_CUDA_ARCHITECTURES")
    if named:
        return named.replace(",", ";").split(";")
    return ["80", "90"] + (["100"] if "compute_100\n" in (_run([nvcc, "--list-gpu-arch"]) or "") else [])


def identity(compilers):
    """What compiled code depends on, beside the text."""
    parts = []
    for target, compiler in compilers.items():
        about = os.stat(os.path.realpath(compiler))
        parts.append(f"{target} {compiler} {about.st_size} {about.st_mtime_ns}")
    return parts + [str(_first("TROUPE_LLVM_SPIRV", *_SPIRV_NAMES)), os.environ.get("TROUPE_CUDA_ARCHITECTURES", "")]


def _commands(target, compiler, text, folder, includes):
    """Commands that make images in the folder: (format, file, command) for each."""
    base = os.path.join(folder, target)
    if target == "cuda":
        which = _architectures(compiler)
        codes = [f"-gencode=arch=compute_{one},code=sm_{one}" for one in which]
        codes.append(f"-gencode=arch=compute_{which[-1]},code=compute_{which[-1]}")
        image = base + ".fatbin"
        return [(4, image, [compiler, "-x", "cu", "-std=c++17", "-O2", *includes, *codes, "-fatbin", text, "-o", image])]
    image = base + ".spir.bc"
    options = ["-x", "cl", "-cl-std=clc++2021", "-target", "spir64", "-O2", *includes, "-emit-llvm"]
    made = [(1, image, [compiler, *options, "-c", text, "-o", image])]
    translator = _first("TROUPE_LLVM_SPIRV", *_SPIRV_NAMES)
    if translator:
        made.append((2, base + ".spv", [translator, image, "-o", base + ".spv"]))
    return made


#: Bytes, and a descriptor that TROUPE_MODULE finds: as troupe_embed_image of CMake makes them.
_EMBEDDED = """asm(R"(
  .section .rodata
  .balign 64
troupe_bytes_{id}:
  .incbin "{image}"
troupe_bytes_end_{id}:
  .byte 0
troupe_source_{id}:
  .asciz "kernel.cpp"
  .section .data.rel.ro,"aw"
  .balign 8
troupe_image_{id}:
  .long 40, {format}
  .quad troupe_bytes_{id}
  .quad troupe_bytes_end_{id} - troupe_bytes_{id}
  .quad troupe_source_{id}
  .section troupe_images,"awR"
  .balign 8
  .quad troupe_image_{id}
  .text
)");
"""


def images_of(source, compilers, folder, includes):
    """Compiles the text for devices; a file of C++ that puts what came of it into a module, or none."""
    if not compilers:
        return []
    text = os.path.join(folder, "device.cpp")
    with open(text, "w", encoding="utf-8") as out:
        out.write(PRELUDE + source)
    embedded = ""
    for target, compiler in compilers.items():
        for format, image, command in _commands(target, compiler, text, folder, includes):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                others = [one for one in _MISSING if one != target]
                hint = f'targets=["{others[0]}"] leaves {target} out, targets=["sim"] all devices'
                raise Error("bad_argument", f"a kernel does not compile for {target} devices:\n{done.stderr.strip()}", hint)
            embedded += _EMBEDDED.format(id=f"{target}_{format}", image=image, format=format)
    file = os.path.join(folder, "images.cpp")
    with open(file, "w", encoding="utf-8") as out:
        out.write(embedded)
    return [file]
