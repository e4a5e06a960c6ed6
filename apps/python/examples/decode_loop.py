"""A small network, token by token: the same graph each time, submitted anew and as a plan that was recorded once."""

import numpy as np

import troupe
from troupe import Slot, in_, inout, out, scalar

KERNELS = troupe.kernel("""
// out = tanh(weights x)
TROUPE_KERNEL(decode_layer)(KernelArgs& k) {
  const auto weights = k.tensor<const float>(0);
  const auto x = k.tensor<const float>(1);
  const auto out = k.tensor<float>(2);
  for (std::size_t row = 0; row < out.size(); ++row) {
    float sum = 0;
    for (std::size_t column = 0; column < x.size(); ++column) sum += weights(row, column) * x[column];
    out[row] = std::tanh(sum);
  }
}
// What the network remembers: state = keep * state + x
TROUPE_KERNEL(decode_remember)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto state = k.tensor<float>(1);
  for (std::size_t i = 0; i < state.size(); ++i) state[i] = k.scalar<float>(0) * state[i] + x[i];
}
""")


@troupe.program
def decode_loop(node, layers=8, width=16, tokens=100):
    weights = []
    for layer in range(layers):
        weights.append(node.tensor((width, width)))
        weights[-1].numpy().flat[:] = np.sin(np.arange(width * width) + layer) / width
    token, fresh, replayed = node.tensor(width, fill=0.5), node.tensor(width), node.tensor(width)

    def decode(node, x, state, keep):
        for layer in weights:  # captured by the plan; the rest is given
            following = node.alloc(width)
            node.submit("decode_layer", in_(layer), in_(x), out(following))
            x = following
        node.submit("decode_remember", in_(x), inout(state), scalar(keep))

    def keep_of(t):
        return 0.5 if t % 2 == 0 else 0.25

    for t in range(tokens):
        decode(node, token, fresh, keep_of(t))

    plan = node.record(decode, token, replayed, Slot(keep_of(0)))  # runs the first token
    for t in range(1, tokens):
        node.submit(plan, in_(token), inout(replayed), keep_of(t))

    a, b = node.read_all(fresh).get(), node.read_all(replayed).get()
    assert (a == b).all() and a.any(), "the plan gives what the program gives"
    assert plan.tasks == layers + 1
    return plan


if __name__ == "__main__":
    with troupe.System(chips=1) as system:
        node = system.node()
        node.load(KERNELS)
        print(node.run(decode_loop))
