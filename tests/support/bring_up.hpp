#pragma once

#include <memory>
#include <span>
#include <utility>

#include "chip/state.hpp"

namespace troupe::test {

/// Brings up a chip that is driven call by call: what its device says lies in `done` until the chip is told.
inline auto bring_up(actors::ChipState& chip, actors::DeviceDone& done,
                     std::shared_ptr<platform::Host> host) {
  platform::ContextEvents events;
  events.complete = [&done](std::span<const troupe_completion> news) {
    for (const auto& end : news) {
      done.ends.push_back({end.correlation, end.code, end.message != nullptr ? end.message : "",
                           end.caused_by, end.started_ns, end.finished_ns});
    }
  };
  auto device =
      actors::open_device(chip.config(), chip.identity().incarnation, std::move(host), std::move(events));
  return chip.adopt(device);
}

}  // namespace troupe::test
