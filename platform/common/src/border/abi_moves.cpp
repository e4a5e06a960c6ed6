// The functions of the device ABI that move bytes. What each one promises stands in device_abi.h.

#include "border/abi_guard.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::common;

extern "C" {

int32_t run_move(troupe_device_context* context, const troupe_move* move) {
  return on_device(context, "run_move", [&](Chip& /*own*/) -> Result<void> {
    if (move == nullptr) return null_argument("move");
    if (move->from.context != context && move->to.context != context)
      return Error(Errc::invalid_argument, "neither side of the move is memory of this context");
    // They stay as long as this has them.
    std::shared_ptr<Chip> chips[2];
    MovableMemory* memories[2] = {};
    for (const bool to : {false, true}) {
      auto* of = to ? move->to.context : move->from.context;
      if (of == nullptr) continue;
      auto chip = of->chip();
      if (!chip) return chip.error();
      chips[to] = *std::move(chip);
      memories[to] = chips[to]->movable();
      if (memories[to] == nullptr) return Error(Errc::unsupported, "this chip takes no moves");
    }
    return make_move(*move, memories[0], memories[1]);
  });
}
}
