#pragma once

#include "troupe/platform/scripted_chip.hpp"

namespace troupe::test {

/// A scripted chip that can run the conformance suite: its kernels are plain module kernels, but for those
/// that wait, which a chip without threads cannot run as they are.
inline platform::ScriptedChip conformance_chip(platform::ScriptedChipOptions options = {}) {
  options.record = false;
  platform::ScriptedChip chip{std::move(options)};
  for (const char* name : {"conformance_wait", "conformance_until_aborted"}) {
    chip.on(name, [](platform::ScriptedCall& call) { call.waits(); });
  }
  return chip;
}

}  // namespace troupe::test
