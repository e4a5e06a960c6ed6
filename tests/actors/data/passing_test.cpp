// What a user sees of bytes that go straight from chip to chip: fewer copies, and the same bytes, whatever
// ends meanwhile.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "actors/data/counted.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::Counted;
using test::error_of;

namespace {

std::atomic<bool> torn = false;

/// All elements of a tensor are equal, always.
template <class T>
bool is_one_value(const runtime::TensorView<T>& x) {
  for (const auto& element : x) {
    if (element != x[0]) return false;
  }
  return true;
}

}  // namespace

TROUPE_KERNEL(passing_step)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  if (!is_one_value(x)) torn = true;
  for (auto& element : x) element += 1.0F;
}
TROUPE_KERNEL(passing_look)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  if (!is_one_value(x)) torn = true;
  k.tensor<float>(1)[0] = x[0];
}

TEST_CASE("a tensor that goes from chip to chip is copied once a hop, and host memory hears of none") {
  for (const std::uint64_t elements : {std::uint64_t{1024}, std::uint64_t{400'000}}) {
    Counted bench(3);
    const auto bytes = elements * sizeof(float);
    auto x = bench.node->tensor<float>({elements}, 1.0F);
    const auto hops = [](Orchestrator& n, Tensor t) {
      for (int hop = 0; hop < 9; ++hop) n.submit("add", inout(t), on_chip(hop % 3));
    };
    bench.node->run(hops, x);
    CHECK(Counted::in == bytes);
    CHECK(Counted::out == 0);
    CHECK(Counted::across == 8 * bytes);
    CHECK(x.host<const float>()[elements - 1] == 10.0F);
    CHECK(Counted::out == bytes);
  }
}

TEST_CASE("a platform without moves does the same by way of host memory") {
  Counted bench(3, std::uint64_t{256} << 20U, false);
  auto x = bench.node->tensor<float>({1024}, 1.0F);
  bench.node->run(
      [](Orchestrator& n, Tensor t) {
        for (int hop = 0; hop < 9; ++hop) n.submit("add", inout(t), on_chip(hop % 3));
      },
      x);
  CHECK(Counted::in == 9 * 4096);
  CHECK(Counted::out == 8 * 4096);
  CHECK(Counted::across == 0);
  CHECK(x.host<const float>()[0] == 10.0F);
}

TEST_CASE(
    "readers on several chips take what one has written from it, and it is theirs when that chip is reset") {
  Counted bench(3);
  bench.script.on("read",
                  [](auto& call) { call.template tensor<float>(1)[0] = call.template tensor<float>(0)[7]; });
  bench.node->add_kernel("read");
  auto x = bench.node->tensor<float>({1024}, 1.0F);
  auto a = bench.node->tensor<float>({1}), b = bench.node->tensor<float>({1});
  bench.node->run(
      [](Orchestrator& n, Tensor t, Tensor first, Tensor second) {
        n.submit("add", inout(t), on_chip(0));
        n.submit("read", in(t), out(first), on_chip(1));
        n.submit("read", in(t), out(second), on_chip(2));
      },
      x, a, b);
  CHECK(Counted::across == 2 * 4096);
  CHECK(a.host<const float>()[0] == 2.0F);
  CHECK(b.host<const float>()[0] == 2.0F);
  bench.node->chip(0).reset();
  CHECK(x.host<const float>()[1023] == 2.0F);
}

TEST_CASE(
    "tensors go from chip to chip while chips are reset and die: none is torn, and what is lost is said") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(2); ++seed) {
    CAPTURE(seed);
    torn = false;
    const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
    System system(quiet);
    auto config = test::small_sims(3, std::uint64_t{8} << 20U);
    config.restart = {100000, std::chrono::hours(1)};
    const auto node = system.node(config);
    node.load(this_module());
    constexpr std::uint64_t elements = 300'000;  // too many for the chips' actors to copy themselves
    constexpr int rounds = 25, tensors = 4;
    std::atomic<int> going = tensors, wrong = 0;
    std::vector<std::thread> users;
    for (int user = 0; user < tensors; ++user) {
      users.emplace_back([&, user] {
        std::mt19937_64 random(seed * 100 + static_cast<std::uint64_t>(user));
        auto x = node.tensor<float>({elements}, 0.0F);
        auto seen = node.tensor<float>({1});
        float expected = 0;
        for (int round = 0; round < rounds; ++round) {
          const auto failed = error_of([&] {
            node.run([&](Orchestrator& n) {
              for (int i = 0; i < 6; ++i) {
                n.submit("passing_step", inout(x), on_chip(static_cast<int>(random() % 3)));
                n.submit("passing_look", in(x), out(seen), on_chip(static_cast<int>(random() % 3)));
              }
            });
            expected += 6;
            if (round % 3 != 0) return;
            const auto view = x.host<const float>();
            if (view[0] != expected || view[elements - 1] != expected) ++wrong;
          });
          if (!failed) continue;
          if (!(*failed == Errc::chip_lost || *failed == Errc::data_lost || *failed == Errc::poisoned ||
                *failed == Errc::task_failed)) {
            ++wrong;
            MESSAGE(failed->message());
          }
          const auto lost = error_of([&] {
            auto view = x.overwrite<float>();
            for (auto& element : view) element = 0.0F;
            expected = 0;
          });
          if (lost) --round;
        }
        --going;
      });
    }
    std::mt19937_64 random(seed);
    while (going > 0) {
      const auto chip = static_cast<int>(random() % 3);
      const auto failed =
          error_of([&] { random() % 2 == 0 ? node.chip(chip).reset() : testing::kill(node, chip); });
      if (failed && !(*failed == Errc::chip_lost || *failed == Errc::data_lost)) ++wrong;
    }
    for (auto& user : users) user.join();
    CHECK_FALSE(torn.load());
    CHECK(wrong == 0);
  }
}
