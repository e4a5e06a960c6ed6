// Nodes for tests that look at which bytes move, and at chips with little memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "support/built.hpp"
#include "troupe/testing.hpp"

namespace troupe::test {

/// Scripted chips that count the bytes that go in and out, and from one to another.
struct Counted {
  static inline std::atomic<std::uint64_t> in{0}, out{0}, across{0};

  /// `moves`: whether the platform can do the latter.
  explicit Counted(int chips, std::uint64_t memory = std::uint64_t{256} << 20U, bool moves = true)
      : script(platform::ScriptedChipOptions{.memory_bytes = memory}) {
    in = out = across = 0;
    script.on("add", [](auto& call) {
      for (auto& element : call.template tensor<float>(0)) element += 1.0F;
    });
    static platform::DeviceApi real;
    real = script.api();
    NodeConfig config;
    config.chips = chips;
    config.device = [this, moves](int, std::uint32_t) {
      auto api = script.api();
      api.copy_to_device_ctx = [](troupe_device_context* context, std::uint64_t to, const void* from,
                                  std::uint64_t bytes) {
        in += bytes;
        return real.copy_to_device_ctx(context, to, from, bytes);
      };
      api.copy_from_device_ctx = [](troupe_device_context* context, void* to, std::uint64_t from,
                                    std::uint64_t bytes) {
        out += bytes;
        return real.copy_from_device_ctx(context, to, from, bytes);
      };
      api.run_move = [](troupe_device_context* context, const troupe_move* move) {
        across += move->run_bytes;
        return real.run_move(context, move);
      };
      if (!moves) api.run_move = nullptr;
      return Result<platform::DeviceApi>(std::move(api));
    };
    SystemConfig quiet;
    quiet.log = [](int, std::string_view, std::string_view) {};
    system.emplace(quiet);
    node.emplace(system->node(config));
    node->add_kernel("add");
  }

  platform::ScriptedChip script;
  std::optional<System> system;
  std::optional<Node> node;
};

inline NodeConfig small_sims(int chips, std::uint64_t memory) {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = chips;
  config.device_options = {{"memory_bytes", std::to_string(memory)}};
  return config;
}

}  // namespace troupe::test
