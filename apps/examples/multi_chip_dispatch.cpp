// Two chips (or as many as there are) work at the same time; a host function checks what each has made.
// Nothing is wired by hand: the check reads what the chip writes, so it waits for it.
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

TROUPE_HOST_FUNCTION(check_chip)(HostArgs& args) {
  for (const float value : args.tensor<const float>(0)) {
    apps::expect(value == args.scalar<float>(0), "2 + 3 + the chip's number");
  }
}

void multi_chip_dispatch(Orchestrator& node) {
  auto a = node.tensor<float>({128, 128}, 2.0f);
  auto b = node.tensor<float>({128, 128}, 3.0f);
  for (int chip = 0; chip < node.chips(); ++chip) {
    const float number = static_cast<float>(chip);
    auto c = node.alloc<float>({128, 128});  // freed when its reader is done
    node.submit("add_for_chip", in(a), in(b), out(c), scalar(number), on_chip(chip));
    node.submit_sub("check_chip", in(c), scalar(5.0f + number));
  }
}
TROUPE_PROGRAM(multi_chip_dispatch);
