"""Kernels from C++ text, from files, and the collective kernels; domains."""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import threading

import numpy as np
import pytest

import troupe
from troupe import _devices, args, in_, inout, out, scalar

SCALE = """
TROUPE_KERNEL(scale_from_text)(KernelArgs& k) {
  for (auto& value : k.tensor<float>(0)) value *= k.scalar<float>(0);
}
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    before = os.environ.get("TROUPE_CACHE")
    os.environ["TROUPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield pathlib.Path(os.environ["TROUPE_CACHE"])
    if before is None:
        del os.environ["TROUPE_CACHE"]
    else:
        os.environ["TROUPE_CACHE"] = before


def test_a_kernel_from_text_is_compiled_once(node, cache):
    module = troupe.kernel(SCALE)
    before = os.stat(module.path).st_mtime_ns
    assert troupe.kernel(SCALE).path == module.path and os.stat(module.path).st_mtime_ns == before
    assert list(cache.iterdir()) == [pathlib.Path(module.path)]
    node.load(module)
    x = np.ones(4, "f4")
    node.run(lambda node: node.submit("scale_from_text", inout(x), scalar(3.0)))
    assert (x == 3).all()


def test_what_is_cut_in_the_cache_is_compiled_again(node, cache):
    text = SCALE.replace("scale_from_text", "scale_that_is_cut")  # not loaded here: who cuts that ends the process
    path = troupe.kernel(text).path
    whole = os.stat(path).st_size
    for size in [0, 100, whole // 2, whole - 1]:
        os.truncate(path, size)
        assert troupe.kernel(text).path == path and os.stat(path).st_size == whole
    node.load(troupe.kernel(text))


def test_threads_that_compile_one_text_at_once_have_one_whole_file(cache, monkeypatch):
    text = SCALE.replace("scale_from_text", "scale_of_two_threads")
    both, copy = threading.Barrier(2), shutil.copy

    def copied_by_both(*files):
        copy(*files)
        both.wait(timeout=60)  # neither has been given its name yet

    monkeypatch.setattr(shutil, "copy", copied_by_both)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        first, second = [made.result() for made in [threads.submit(troupe.kernel, text) for _ in range(2)]]
    assert first.path == second.path and list(cache.glob("*.tmp")) == []
    monkeypatch.undo()
    before = os.stat(first.path).st_mtime_ns
    assert troupe.kernel(text).path == first.path and os.stat(first.path).st_mtime_ns == before


def test_a_cache_that_cannot_be_used_is_an_error_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    unusable = ["/proc", tmp_path / "file", tmp_path / "file" / "below"]
    if os.geteuid() != 0:  # who may write anywhere
        unusable += [locked, locked / "below"]
    for folder in unusable:
        monkeypatch.setenv("TROUPE_CACHE", str(folder))
        with pytest.raises(troupe.Error, match="compiled kernels cannot be kept in") as raised:
            troupe.kernel(SCALE)
        assert str(folder) in str(raised.value) and "TROUPE_CACHE names another folder" in str(raised.value)
        assert raised.value.code == "cannot_write"


def test_a_compiler_that_makes_nothing_is_an_error():
    with pytest.raises(troupe.Error, match="made no module: flags are"):
        troupe.kernel(SCALE, flags=["-fsyntax-only"])


def test_a_kernel_that_does_not_compile_says_what_the_compiler_says():
    with pytest.raises(troupe.Error) as raised:
        troupe.kernel("TROUPE_KERNEL(wrong)(KernelArgs& k) { nonsense; }")
    assert "nonsense" in raised.value.message and "kernel.cpp:1" in raised.value.message
    os.environ["CXX"] = "no-such-compiler"
    try:
        with pytest.raises(troupe.Error, match="compiler"):
            troupe.kernel("// nothing here")
    finally:
        del os.environ["CXX"]


SAXPY = """
#include <troupe/runtime/device_kernel.hpp>
TROUPE_KERNEL(saxpy_everywhere)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto y = k.tensor<float>(1);
  for (auto i = k.first(); i < y.size(); i += k.step()) y[i] += k.scalar<float>(0) * math::sqrt(x[i]);
}
"""


def on(platform, text, run_python):
    """Runs the kernel of a text on a platform, in a process of its own; what it printed, and what it ended with."""
    script = f"""
import numpy as np, troupe
from troupe import in_, inout, scalar
module = troupe.kernel({text!r})
x, y = np.full(1000, 4, "f4"), np.ones(1000, "f4")
try:
    node = troupe.System(platform={platform!r}, chips=1).node()
except troupe.Error as error:
    print("no device:", error.root.message)
    raise SystemExit
node.load(module)
node.run(lambda node: node.submit("saxpy_everywhere", in_(x), inout(y), scalar(2.0)))
print((y == 5).all(), module.targets)
"""
    code, text, err = run_python(script)
    return text + err


def test_a_text_for_devices_runs_on_each_kind_whose_compiler_is_there(run_python, monkeypatch):
    monkeypatch.setenv("POCL_MAX_PTHREAD_COUNT", "8")
    compilers, left_out = _devices.targets_of(SAXPY, None)
    module = troupe.kernel(SAXPY)
    assert module.targets == ("sim", *compilers) and module.left_out == left_out
    assert set(compilers) | set(left_out) == {"opencl", "cuda"}
    assert f"for {', '.join(module.targets)}>" in repr(module)
    assert on("a2a3sim", SAXPY, run_python).startswith("True")
    for platform in compilers:
        told = on(platform, SAXPY, run_python)
        assert told.startswith(("True", "no device:")), told


def test_what_devices_a_text_has_no_code_for_is_said(monkeypatch, node):
    monkeypatch.setenv("TROUPE_CLANG", "/no/such/clang")
    monkeypatch.setenv("TROUPE_NVCC", "/no/such/nvcc")
    module = troupe.kernel(SAXPY)
    assert module.targets == ("sim",) and set(module.left_out) == {"opencl", "cuda"}
    assert "apt-get install clang" in module.left_out["opencl"] and "no nvcc" in module.left_out["cuda"]
    node.load(module)
    for target, words in [("opencl", "no clang that knows C"), ("cuda", "no nvcc")]:
        with pytest.raises(troupe.Error, match=f"no code for {target} devices: {words}") as raised:
            troupe.kernel(SAXPY, targets=[target])
        assert "TROUPE_" in raised.value.hint
    assert troupe.kernel(SCALE).left_out == {} and troupe.kernel(SAXPY, targets=["sim"]).left_out == {}
    monkeypatch.setenv("TROUPE_CLANG", "false")  # one that knows nothing of it
    assert "knows C++ for OpenCL" in troupe.kernel(SAXPY).left_out["opencl"]
    for wrong in ["opencl", ["metal"], [3], 3]:
        with pytest.raises(troupe.Error, match="targets is a list of sim, opencl and cuda"):
            troupe.kernel(SAXPY, targets=wrong)


def test_a_text_that_is_wrong_on_devices_says_so(run_python, monkeypatch):
    compilers, _ = _devices.targets_of(SAXPY, None)
    if not compilers:
        pytest.skip("no compiler for devices")
    target = next(iter(compilers))
    wrong = SAXPY.replace("y[i] +=", "y[i] += nonsense_of_devices *")
    with pytest.raises(troupe.Error, match=f"does not compile for {target} devices") as raised:
        troupe.kernel(wrong.replace("nonsense_of_devices", "troupe::runtime::Float16(1)"), targets=[target])
    assert "kernel.cpp:6" in raised.value.message and 'targets=["sim"]' in raised.value.hint
    monkeypatch.setenv("POCL_MAX_PTHREAD_COUNT", "8")
    host_only = SAXPY.replace("#include <troupe/runtime/device_kernel.hpp>", "").replace("math::sqrt(x[i])", "x[i]")
    told = on("opencl", host_only, run_python)
    assert "no device:" in told or "has no code for this device; put it into a source that includes" in told, told


def test_a_foreign_object_is_a_kernel(node, tmp_path):
    source = tmp_path / "entry.cpp"
    source.write_text(
        "#include <troupe/runtime/kernel_abi.hpp>\n"
        "using troupe::runtime::TensorDescriptor;\n"
        'extern "C" __attribute__((visibility("default"))) void kernel_entry(std::int64_t* words) {\n'
        "  auto* t = reinterpret_cast<TensorDescriptor*>(words[0]);\n"
        "  auto* x = reinterpret_cast<float*>(t->address) + t->start_offset;\n"
        "  for (unsigned i = 0; i < t->shapes[0]; ++i) x[i] += 1;\n"
        "}\n"
    )
    made = tmp_path / "entry.so"
    includes = [f"-I{folder}" for folder in troupe._build.INCLUDES]
    subprocess.run(["g++", "-std=c++20", "-O1", "-fPIC", "-shared", *includes, source, "-o", made], check=True)
    node.add_kernel("from_file", made)
    node.add_kernel("from_bytes", made.read_bytes(), cores="matrix")
    x = np.zeros(3, "f4")
    node.run(lambda node: [node.submit(name, inout(x)) for name in ["from_file", "from_bytes"]])
    assert x.tolist() == [2, 2, 2]
    with pytest.raises(troupe.Error):
        node.add_kernel("missing", tmp_path / "missing.so")
    with pytest.raises(troupe.Error):
        node.add_kernel("cores", made, cores="quantum")
    node.add_kernel("nonsense", b"no object")
    with pytest.raises(troupe.Error):
        node.run(lambda node: node.submit("nonsense", inout(x)))


def test_a_domain_has_buffers_that_tasks_fill_and_programs_read(node):
    async def program(node):
        domain = await node.allocate_domain([0, 1], {"mine": 64, "other": 32})
        assert len(domain) == 2 and "2 ranks" in repr(domain)
        rank = domain.rank(1)
        assert (rank.index, rank.chip, rank.ranks) == (1, 1, 2)
        assert rank.buffer("mine").shape == (16,) and rank.buffer("other", "uint8").shape == (32,)
        node.submit_group("mark", domain.each(lambda r: args(out(r.buffer("mine")), scalar(float(r.index + 1)))))
        values = [await node.read(domain.rank(i).buffer("mine")) for i in range(2)]
        with pytest.raises(troupe.Error):
            domain.rank(2)
        with pytest.raises(troupe.Error):
            rank.buffer("nobody")
        assert "domain" in repr(rank.context()) and rank.address_of("mine").value != 0
        return values

    assert node.run(program) == [1, 2]

    def plain(node):
        domain = node.allocate_domain([0, 1], {"x": 64}).get()
        with pytest.raises(troupe.Error):
            node.allocate_domain([0, 9], {"x": 64}).get()
        return len(domain)

    assert node.run(plain) == 2


@pytest.mark.skipif(not os.path.exists(troupe.COLLECTIVES), reason="the collective kernels were not built")
def test_the_collective_kernels_are_a_module(node):
    node.load(troupe.COLLECTIVES)
    with pytest.raises(troupe.Error):
        node.run(lambda node: node.submit("all_reduce_of_nobody"))
