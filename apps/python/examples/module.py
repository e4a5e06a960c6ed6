"""Kernels and host functions in one module: compiled once, loaded by its path as any other module is."""

import os

import numpy as np

import troupe
from troupe import inout, scalar

MODULE = troupe.kernel(
    """
TROUPE_KERNEL(grow)(KernelArgs& k) {
  for (auto& value : k.tensor<float>(0)) value += k.scalar<float>(0);
}
TROUPE_HOST_FUNCTION(halve)(HostArgs& args) {
  for (auto& value : args.tensor<float>(0)) value /= 2;
}
""",
    name="growth",
)


@troupe.program
def grow_and_halve(node, x):
    node.submit("grow", inout(x), scalar(3.0))
    node.submit_sub("halve", inout(x))


if __name__ == "__main__":
    assert os.path.exists(MODULE.path) and os.fspath(MODULE) == MODULE.path
    with troupe.System(chips=1) as system:
        node = system.node()
        node.load(MODULE.path)  # what `troupe.kernel` gives, or what a build of yours has made
        x = np.ones(100, "f4")
        node.run(grow_and_halve, x)
        assert (x == 2).all()
        print("a module with a kernel and a host function")
