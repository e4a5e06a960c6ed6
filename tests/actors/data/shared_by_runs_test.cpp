// Runs without an order that share a tensor, on threads of their own, while chips come and go: whose bytes
// stay is open, but nothing gets stuck, and what is lost is said.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support/built.hpp"
#include "troupe/testing.hpp"

// The bytes are raced for on purpose, which the thread sanitizer cannot know.
#ifndef __SANITIZE_THREAD__
using namespace troupe;
using actors::Errc;

TROUPE_KERNEL(shared_step)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}
TROUPE_KERNEL(shared_look)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  k.tensor<float>(1)[0] = from[0];
}

namespace {

bool may_be(const Error& error) { return error == Errc::chip_lost || error == Errc::data_lost; }

}  // namespace

TEST_CASE("a run that writes and one that reads share a tensor while chips are reset under them") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  System system(quiet);
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = 3;
  const auto node = system.node(config);
  node.load(this_module());
  constexpr int rounds = 60;
  constexpr std::uint64_t elements = 40'000;
  auto x = node.tensor<float>({elements});
  std::atomic<int> going = 2;
  std::atomic<int> wrong = 0;
  const auto goes_on = [&](auto program, const Tensor& t) {
    const auto result = node.submit(program, t).result();
    if (result || may_be(result.error())) return;
    ++wrong;
    MESSAGE(result.error().message());
  };
  const auto write = [](Orchestrator& n, Tensor t) {
    for (int chip = 0; chip < 3; ++chip) n.submit("shared_step", inout(t), on_chip(chip));
    n.submit("shared_step", inout(t.rows(0, elements / 2)));
  };
  const auto read = [](Orchestrator& n, Tensor t) {
    for (int chip = 0; chip < 3; ++chip) {
      n.submit("shared_look", in(t.rows(elements / 2, elements)), out(n.alloc<float>({1})), on_chip(chip));
    }
  };
  std::thread writer([&] {
    for (int i = 0; i < rounds; ++i) {
      try {
        if (x.hold()->buffer != nullptr && i % 8 == 0) (void)x.overwrite<float>();
      } catch (const Error& error) {
        wrong += may_be(error) ? 0 : 1;
      }
      goes_on(write, x);
    }
    --going;
  });
  std::thread reader([&] {
    for (int i = 0; i < rounds; ++i) goes_on(read, x);
    --going;
  });
  for (int chip = 0; going > 0; chip = (chip + 1) % 3) {
    try {
      node.chip(chip).reset();
    } catch (const Error& error) {
      wrong += may_be(error) ? 0 : 1;
    }
  }
  writer.join();
  reader.join();
  CHECK(wrong == 0);

  {
    auto view = x.overwrite<float>();
    for (auto& element : view) element = 0.0F;
  }
  node.run(write, x);
  const auto seen = x.host<const float>();
  CHECK(seen[0] == 4.0F);
  CHECK(seen[elements - 1] == 3.0F);
}
#endif
