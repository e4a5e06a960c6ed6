#pragma once

#include "troupe/platform/scripted_chip.hpp"

namespace troupe::test {

/// A scripted chip that can run the conformance suite: its kernels are plain module kernels, but for the one
/// that waits, which a chip without threads cannot run as it is.
inline platform::ScriptedChip conformance_chip(platform::ScriptedChipOptions options = {}) {
  options.record = false;
  platform::ScriptedChip chip{std::move(options)};
  chip.on("conformance_wait", [](platform::ScriptedCall& call) { call.waits(); });
  return chip;
}

}  // namespace troupe::test
