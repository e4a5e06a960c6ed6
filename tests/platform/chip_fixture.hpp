#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/platform/scripted_chip.hpp"

namespace troupe::test {

/// One end of a run, kept.
struct Ended {
  std::uint64_t correlation = 0;
  std::int32_t code = 0;
  std::string message;
  std::uint64_t caused_by = 0;
};

/// A scripted chip under a manual host, with one context that is ready, and what was heard from it.
struct ChipFixture {
  explicit ChipFixture(platform::ScriptedChipOptions options = {}) : chip(std::move(options)) {}

  platform::ScriptedChip chip;
  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  std::vector<Ended> ended;
  std::vector<std::string> logged;

  platform::DeviceContext open() {
    platform::ContextEvents events;
    events.complete = [this](std::span<const troupe_completion> completions) {
      for (const auto& c : completions) {
        ended.push_back({c.correlation, c.code, c.message != nullptr ? c.message : "", c.caused_by});
      }
    };
    events.log = [this](std::int32_t, std::int32_t, std::string_view text) { logged.emplace_back(text); };
    return platform::DeviceContext::create(chip.api(), host, std::move(events)).value();
  }
  platform::DeviceContext open_ready(std::int32_t device = 0) {
    auto context = open();
    context.set_device(device).value();
    return context;
  }
  std::vector<std::int32_t> codes() const {
    std::vector<std::int32_t> result;
    for (const auto& end : ended) result.push_back(end.code);
    return result;
  }
};

/// Registers a callable that the script knows.
inline std::uint64_t scripted(platform::DeviceContext& context, const char* name) {
  troupe_callable callable{};
  callable.name = name;
  return context.register_callable(callable).value();
}

template <class T>
std::int32_t code_of(const Result<T>& result) {
  return result ? 0 : result.error().code().value;
}

}  // namespace troupe::test
