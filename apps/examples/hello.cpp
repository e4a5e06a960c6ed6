// The smallest program: one task on a chip, one on the host that sees its result. Its kernel is in
// kernels/hello.cpp.
#include <cstdint>
#include <cstdio>
#include <troupe/troupe.hpp>

using namespace troupe;

TROUPE_HOST_FUNCTION(greet)(HostArgs& args) {
  std::printf("hello: the chip says %d\n", args.tensor<std::int32_t>(0)[0]);
}

void hello(Orchestrator& node) {
  auto number = node.alloc<std::int32_t>({1});
  node.submit("answer", out(number));
  node.submit_sub("greet", in(number));  // runs when the chip has written it
}
TROUPE_PROGRAM(hello);
