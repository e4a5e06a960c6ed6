// Bytes beside those that somebody works on: a view of some rows while a chip writes others, a reader without
// an order to a host function that writes, a chip that is removed while others have what it had.
#include <doctest/doctest.h>

#include <algorithm>
#include <latch>
#include <thread>

#include "actors/data/counted.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;

namespace {

std::latch *begun = nullptr, *go_on = nullptr;

const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};

}  // namespace

TROUPE_KERNEL(beside_write)(KernelArgs& k) {
  begun->count_down();
  go_on->wait();
  for (auto& element : k.tensor<float>(0)) element = 2.0F;
}
TROUPE_KERNEL(beside_copy)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = from[i];
}
TROUPE_KERNEL(beside_add)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}

TEST_CASE("a writable view of some rows leaves what a chip is writing into others") {
  constexpr std::uint64_t elements = 64;
  for (const int chips : {1, 2}) {
    CAPTURE(chips);
    System system(quiet);
    auto node = system.node(test::small_sims(chips, 1U << 20U));
    node.load(this_module());
    for (int round = 0; round < 30; ++round) {
      std::latch in_kernel(1), may_end(1), looks(1);
      begun = &in_kernel;
      go_on = &may_end;
      const auto x = node.tensor<float>({elements}, 1.0F);
      auto run = node.submit(
          [](Orchestrator& n, Tensor t) {
            n.submit("beside_write", inout(t.rows(elements / 2, elements)), on_chip(0));
          },
          x);
      in_kernel.wait();
      std::thread user([&] {
        looks.count_down();
        auto view = x.rows(0, elements / 2).host<float>();
        std::fill(view.begin(), view.end(), 3.0F);
      });
      looks.wait();
      may_end.count_down();
      user.join();
      run.get();
      const auto seen = x.host<const float>();
      CHECK(seen[0] == 3.0F);
      CHECK(seen[elements - 1] == 2.0F);
    }
  }
}

// The bytes are raced for on purpose, which the thread sanitizer cannot know.
#ifndef __SANITIZE_THREAD__
TEST_CASE(
    "what a chip fetched while a host function of another run wrote there is no copy for those after it") {
  constexpr std::uint64_t elements = 64;
  for (const int chips : {1, 2}) {
    CAPTURE(chips);
    System system(quiet);
    auto config = test::small_sims(chips, 1U << 20U);
    config.sub_workers = 1;
    auto node = system.node(config);
    node.load(this_module());
    std::latch half(1), may_end(1);
    const auto x = node.tensor<float>({elements}, 1.0F), early = node.tensor<float>({elements}),
               late = node.tensor<float>({elements});
    auto writer = node.submit([&](Orchestrator& n) {
      n.submit_sub(
          [&](HostArgs& args) {
            const auto to = args.tensor<float>(0);
            for (std::size_t i = 0; i < elements / 2; ++i) to[i] = 2.0F;
            half.count_down();
            may_end.wait();
            for (std::size_t i = elements / 2; i < elements; ++i) to[i] = 2.0F;
          },
          inout(x));
      n.submit("beside_copy", in(x), out(late), on_chip(0));
    });
    half.wait();
    node.run([](Orchestrator& n, Tensor from,
                Tensor to) { n.submit("beside_copy", in(from), out(to), on_chip(0)); },
             x, early);
    may_end.count_down();
    writer.get();
    const auto seen = late.host<const float>();
    CHECK(std::all_of(seen.begin(), seen.end(), [](float it) { return it == 2.0F; }));
  }
}
#endif

namespace {

/// Scripted chips to which many bytes come when the gate is open.
struct Gated {
  static inline std::latch *comes = nullptr, *gate = nullptr;
  static inline platform::DeviceApi real;

  Gated() {
    script.on("add", [](auto& call) { call.template tensor<float>(0)[0] += 1.0F; });
    script.on("make", [](auto& call) { call.template tensor<float>(1)[0] = 7.0F; });
    real = script.api();
  }
  NodeConfig config() {
    NodeConfig config;
    config.chips = 2;
    config.device = [this](int, std::uint32_t) {
      auto api = script.api();
      api.copy_to_device_ctx = [](troupe_device_context* context, std::uint64_t to, const void* from,
                                  std::uint64_t bytes) {
        if (bytes > (1U << 20U)) {
          comes->count_down();
          gate->wait();
        }
        return real.copy_to_device_ctx(context, to, from, bytes);
      };
      return Result<platform::DeviceApi>(std::move(api));
    };
    return config;
  }
  platform::ScriptedChip script;
};

}  // namespace

TEST_CASE("what a task that did not begin was to write is lost, or as it was before, and never older") {
  for (int round = 0; round < 10; ++round) {
    std::latch comes(1), gate(1), looks(1);
    Gated::comes = &comes;
    Gated::gate = &gate;
    Gated gated;
    System system(quiet);
    auto node = system.node(gated.config());
    node.add_kernel("add");
    node.add_kernel("make");
    const auto x = node.tensor<float>({1}, 1.0F), large = node.tensor<float>({400'000});
    node.run([](Orchestrator& n, Tensor t) { n.submit("add", inout(t), on_chip(0)); }, x);
    const auto run = node.submit(
        [](Orchestrator& n, Tensor from, Tensor to) { n.submit("make", in(from), out(to), on_chip(1)); },
        large, x);
    comes.wait();  // the task is with its chip, and has not begun
    float seen = 2.0F;
    std::optional<Error> lost;
    std::thread user([&] {
      looks.count_down();
      lost = error_of([&] { seen = x.host<const float>()[0]; });
    });
    looks.wait();
    for (int i = 0; i < 50; ++i) (void)node.status();  // meanwhile the look has come to the chip, mostly
    run.cancel();
    CHECK_FALSE(run.result());
    gate.count_down();
    user.join();
    for (const bool again : {false, true}) {
      if (again) lost = error_of([&] { seen = x.host<const float>()[0]; });
      if (lost) CHECK(*lost == Errc::data_lost);
      CHECK(seen == 2.0F);
    }
  }
}

TEST_CASE("who had the same bytes as a chip that was removed answers for them, and their loss is told") {
  System system(quiet);
  auto config = test::small_sims(3, 1U << 20U);
  config.recover = false;
  auto node = system.node(config);
  node.load(this_module());
  const auto x = node.tensor<float>({64}, 1.0F), y = node.tensor<float>({64});
  const auto spread = [](Orchestrator& n, Tensor from, Tensor to) {
    n.submit("beside_add", inout(from), on_chip(0));
    n.submit("beside_copy", in(from), out(to), on_chip(1));
    n.submit("beside_copy", in(from), out(to), on_chip(2));
  };
  node.run(spread, x, y);
  SUBCASE("one that only took them") {
    node.remove_executor(1);
    testing::kill(node, 2);
    CHECK(x.host<const float>()[0] == 2.0F);
  }
  SUBCASE("one that only took them, and then all others die") {
    node.remove_executor(1);
    testing::kill(node, 2);
    testing::kill(node, 0);
    // Whether the first chip goes before or after the look.
    float seen = 2.0F;
    const auto lost = error_of([&] { seen = x.host<const float>()[0]; });
    if (lost) CHECK(*lost == Errc::data_lost);
    CHECK(seen == 2.0F);
  }
  SUBCASE("the one that answered for them") {
    node.remove_executor(0);
    CHECK(x.host<const float>()[0] == 2.0F);
  }
}
