// The windows of chips that come up from configuration were guarded by the buffers that all of them have
// alike. What lay between those was nobody's to a checked chip, also where a chip has a buffer of its own:
// that one began with the guard's bytes in it, and whoever wrote there failed a kernel that uses the buffer
// next to it. Chips that have no buffer alike had no guards at all.
//
// Promised now: the guards of a window lie between the buffers of its own chip.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

namespace {

constexpr std::uint32_t words = 16;  // of each buffer

/// Two chips, each with a buffer of its own between two that both have.
NodeConfig two_chips() {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = 2;
  config.device_options = {{"checked", "1"}};
  for (const int rank : {0, 1}) {
    comm::ChipBootstrapConfig chip;
    chip.comm = comm::ChipCommBootstrapConfig{rank, 2, "here", 4096};
    chip.buffer_alignment = 256;
    for (const std::string& name : {std::string("first"), "own" + std::to_string(rank), std::string("last")})
      chip.buffers.push_back({.name = name, .count = words, .nbytes = words * 4});
    config.chip_bootstrap_configs.push_back(std::move(chip));
  }
  return config;
}

/// On each chip: `first`, what is its own, and how many words of that to write.
Program uses_its_own(Orchestrator& n, std::uint64_t own_on_0, std::uint64_t own_on_1, std::uint32_t count) {
  auto domain = n.configured_domain();
  std::uint64_t own[]{own_on_0, own_on_1};
  int next = 0;
  n.submit_group("regression_uses_its_own", domain.each([&](auto& rank) {
    return args(inout(rank.template buffer<std::int32_t>("first")), scalar(own[next++]), scalar(count));
  }));
  co_await n.drained();
}

}  // namespace

// Its own begins with zeros, as all memory does.
TROUPE_KERNEL(regression_uses_its_own)(KernelArgs& k) {
  auto* own = reinterpret_cast<std::int32_t*>(k.scalar<std::uint64_t>(0));
  const auto first = k.tensor<std::int32_t>(0);
  for (std::uint32_t i = 0; i < k.scalar<std::uint32_t>(1); ++i) first[i] += own[i];
  for (std::uint32_t i = 0; i < k.scalar<std::uint32_t>(1); ++i) own[i] = 0;
}
TROUPE_KERNEL(regression_writes_past_first)(KernelArgs& k) {
  volatile std::int32_t* first = k.tensor<std::int32_t>(0).data();
  first[words] = 1;
}

TEST_CASE("a buffer that only one chip of a communicator has is its own on checked chips too") {
  System system;
  auto node = system.node(two_chips());
  node.load(this_module());
  const auto contexts = node.chip_contexts();
  REQUIRE(contexts.size() == 2);
  const auto own_on_0 = contexts[0].buffer_ptrs.at("own0"), own_on_1 = contexts[1].buffer_ptrs.at("own1");
  const auto* first = reinterpret_cast<const std::int32_t*>(contexts[0].buffer_ptrs.at("first"));
  for (int round = 0; round < 2; ++round) {
    const auto error = test::error_of([&] { node.run(uses_its_own, own_on_0, own_on_1, words); });
    CHECK_MESSAGE(!error, (error ? render(*error) : ""));
    CHECK(first[0] == 0);
  }
}

TEST_CASE("what lies between the buffers of a configured window is nobody's") {
  System system;
  auto node = system.node(two_chips());
  node.load(this_module());
  const auto error = test::error_of([&] {
    node.run([](Orchestrator& n) -> Program {
      auto domain = n.configured_domain();
      n.submit_group("regression_writes_past_first", domain.each([](auto& rank) {
        return args(inout(rank.template buffer<std::int32_t>("first")));
      }));
      co_await n.drained();
    });
  });
  REQUIRE(error);
  CHECK(error->message().find("wrote past the end of tensor 0: bytes 1 to 4 behind it") != std::string::npos);
}
