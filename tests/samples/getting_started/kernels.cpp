#include <cstdio>
#include <troupe/troupe.hpp>

using namespace troupe;

// Runs on a core of a chip. Arguments by number: tensors and scalars are counted apart.
TROUPE_KERNEL(scale)(KernelArgs& k) {
  for (float& value : k.tensor<float>(0)) value *= k.scalar<float>(0);
}

// Runs on the host.
TROUPE_HOST_FUNCTION(show)(HostArgs& args) {
  std::printf("the first element is %g\n", args.tensor<const float>(0)[0]);
}

// Submits tasks. It does not wait for anything: the run ends when its tasks have.
void scale_twice(Orchestrator& node, float factor) {
  auto x = node.tensor<float>({1024}, 1.0f);
  node.submit("scale", inout(x), scalar(factor));
  node.submit("scale", inout(x), scalar(factor));  // changes x too, so it waits for the first
  node.submit_sub("show", in(x));                  // reads x, so it waits for the second
}
TROUPE_PROGRAM(scale_twice);
TROUPE_PARAMETERS(scale_twice, {"factor", "3", "of each step"});

TROUPE_MODULE("scale");
