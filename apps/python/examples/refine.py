"""An async def program looks at results while it goes: Newton's method for a square root, until the step is small."""

import troupe
from troupe import inout, out, scalar

KERNEL = """
TROUPE_KERNEL(newton_step)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const float before = x[0];
  x[0] = (before + k.scalar<float>(0) / before) / 2;
  k.tensor<float>(1)[0] = std::fabs(x[0] - before);
}
"""


@troupe.program
async def refine(node, number=2.0, tolerance=1e-5):
    x = node.tensor(1, fill=number)
    while True:
        change = node.alloc(1)
        node.submit("newton_step", inout(x), out(change), scalar(number))
        if await node.read(change) < tolerance:
            return await node.read(x)


if __name__ == "__main__":
    with troupe.System(chips=2) as system:
        node = system.node()
        node.load(troupe.kernel(KERNEL))
        runs = [node.submit(refine, float(n)) for n in range(1, 101)]  # a hundred at once, no thread for any
        roots = [run.result() for run in runs]
        assert all(abs(root * root - n) < 1e-3 * n for n, root in enumerate(roots, 1))
        print("a hundred square roots")
