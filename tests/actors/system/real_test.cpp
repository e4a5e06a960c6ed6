// Whole systems on real threads and simulated chips: killed, stuck, gone at any moment, and nothing left.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "support/shared_name.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::kill;

namespace {

/// What a stuck kernel waits for, outside of every wait that troupe could end.
std::atomic<int> kernels_inside{0}, kernels_may_leave{0};

}  // namespace

TROUPE_KERNEL(real_increment)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}
TROUPE_KERNEL(real_copy)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
}
TROUPE_KERNEL(real_stuck)(KernelArgs&) {
  const int round = kernels_may_leave.load();
  ++kernels_inside;
  kernels_inside.notify_all();
  kernels_may_leave.wait(round);
}
/// Waits for a flag in its own window that nobody raises.
TROUPE_KERNEL(real_wait)(KernelArgs& k) {
  auto flag = k.tensor<std::int32_t>(0);
  ++kernels_inside;
  kernels_inside.notify_all();
  (void)k.wait_until(flag[0], Compare::equal, 1);
}
/// Tells the next rank who it is, and waits for the one before.
TROUPE_KERNEL(real_ring)(KernelArgs& k) {
  auto flag = k.tensor<std::int32_t>(0);
  const auto& domain = *k.scalar<const runtime::CommContext*>(0);
  auto* there = domain.on_peer(flag.data(), (domain.rank + 1) % domain.rank_count);
  k.notify(*there, std::int32_t{1});
  (void)k.wait_until(flag[0], Compare::equal, 1);
}
TROUPE_MODULE("actors_tests");

namespace {

/// `grace`: how long a kernel may take to notice an abort before it counts as stuck.
NodeConfig sims(int chips, std::chrono::milliseconds grace = 20ms) {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = chips;
  config.abort_grace = grace;
  config.restart = {1000, 1s};
  config.device_options = {{"memory_bytes", "16777216"}, {"grace_ms", std::to_string(grace.count())}};
  return config;
}

SystemConfig quiet() {
  SystemConfig config;
  config.log = [](int, std::string_view, std::string_view) {};
  return config;
}

std::size_t entries(const char* folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) count += entry.exists() || true;
  return count;
}

/// Memory that this process shares and has mapped: windows, arenas, staging. Not what lies in /dev/shm, which
/// belongs to everybody.
std::size_t shared_mappings() {
  std::size_t count = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    count += line.find("/memfd:troupe") != line.npos || line.find("/dev/shm/") != line.npos ? 1 : 0;
  }
  return count;
}

/// What a process has that outlives objects: files (windows are files, too), shared memory and threads.
struct Belongings {
  std::size_t files = entries("/proc/self/fd");
  std::size_t shared = shared_mappings();
  std::size_t threads = entries("/proc/self/task");
};

void wait_inside(int count) {
  for (int now = kernels_inside.load(); now < count; now = kernels_inside.load()) kernels_inside.wait(now);
}

void let_go() {
  ++kernels_may_leave;
  kernels_may_leave.notify_all();
}

}  // namespace

TEST_CASE("real chips killed at any moment: runs end right or with a typed error, siblings go on") {
  const auto first = test::first_seed();
  const auto rounds = test::cases(25);
  {
    System warm(quiet());
    (void)warm.node(sims(1));
  }
  const Belongings before;
  {
    System system(quiet());
    auto node = system.node(sims(3, 60s));  // nothing is stuck here, however slow the machine
    node.load(this_module());
    std::uint64_t right = 0;
    for (std::uint64_t seed = first; seed < first + rounds; ++seed) {
      std::mt19937_64 random(seed);
      auto x = node.tensor<float>({64}), y = node.tensor<float>({64}), z = node.tensor<float>({64});
      auto still = node.tensor<float>({64});
      const int links = 20 + static_cast<int>(random() % 60);
      auto chain = [links](Orchestrator& n, Tensor a, Tensor b) {
        for (int i = 0; i < links; ++i) n.submit("real_increment", inout(a), on_chip(0));
        n.submit("real_copy", in(a), out(b), on_chip(0));
      };
      auto fan = [links](Orchestrator& n, Tensor a, Tensor b) {
        // Each reads and writes anew, so that it may be run again where a chip died.
        for (int i = 0; i < links; ++i) n.submit("real_copy", in(a), out_existing(b), retry(20));
      };
      auto doomed = node.submit(chain, x, y);
      auto stubborn = node.submit(fan, still, z);
      auto elsewhere = node.submit(
          [](Orchestrator& n, Tensor b) {
            for (int i = 0; i < 10; ++i) n.submit("real_increment", inout(b), on_chip(2));
          },
          node.tensor<float>({64}));
      auto together = node.submit([](Orchestrator& n) -> Program {
        DomainSpec spec;
        spec.chips = chips(0, 2);
        spec.buffers = {{"flags", 64}};
        auto domain = co_await n.allocate_domain(spec);
        n.submit_group("real_ring", domain.each([](auto& rank) {
          return args(inout(rank.template buffer<std::int32_t>("flags")), rank.context());
        }));
        co_await n.drained();
      });
      // Some moment. Not by yielding: on a busy machine one yield may take as long as the whole run.
      for (auto spin = random() % 100'000; spin > 0; --spin) (void)random();
      kill(node, 0);
      if (random() % 2 == 0) kill(node, 1);
      const auto ended = doomed.result();
      if (ended) {
        ++right;
        // The kill may come after the end, when the result is still on the chip.
        float last = 0.0F;
        const auto lost = test::error_of([&] { last = y.host<const float>()[63]; });
        CHECK((lost ? *lost == Errc::data_lost : last == static_cast<float>(links)));
      } else {
        CHECK_MESSAGE((ended.error() == Errc::chip_lost || ended.error() == Errc::data_lost),
                      render(ended.error()), "; TROUPE_SEED=", seed);
      }
      const auto tried = stubborn.result();
      CHECK_MESSAGE(tried, render(tried ? Error(Errc::bad_argument, "") : tried.error()),
                    "; TROUPE_SEED=", seed);
      CHECK(elsewhere.result());
      if (const auto met = together.result(); !met) {
        CHECK_MESSAGE((met.error() == Errc::chip_lost || met.error().root() == Errc::data_lost ||
                       met.error().root() == comm::Errc::peer_lost),
                      render(met.error()), "; TROUPE_SEED=", seed);
      }
    }
    CHECK(shared_mappings() > before.shared);  // arenas at least: the count sees what it is for
    // Whatever happened: the node works. The last kill may still be on its way, so tasks may need another
    // try.
    auto x = node.tensor<float>({64}), y = node.tensor<float>({64});
    x.host<float>()[0] = 3.0F;
    node.run(
        [](Orchestrator& n, Tensor a, Tensor b) {
          for (int chip = 0; chip < 3; ++chip) {
            n.submit("real_copy", in(a), out_existing(b), on_chip(chip), retry(20));
          }
        },
        x, y);
    CHECK(y.host<float>()[0] == 3.0F);
    CHECK(node.status().children[2].restarts == 0);
    CHECK(right <= rounds);
  }
  Belongings after;
  // A thread that has been joined stands in the kernel's list a moment longer.
  while (after.threads > before.threads) {
    std::this_thread::yield();
    after = Belongings();
  }
  CHECK(after.files == before.files);
  CHECK(after.shared == before.shared);
  CHECK(after.threads <= before.threads);
}

TEST_CASE(
    "a real kernel that does not return is left behind, and deadline, cancel and the end do not wait for "
    "it") {
  Handle last;
  {
    System system(quiet());
    auto node = system.node(sims(2));
    node.load(this_module());
    auto x = node.tensor<float>({1});
    auto late = node.submit(
        [](Orchestrator& n, Tensor a) { n.submit("real_stuck", in(a), on_chip(0), deadline(1ms)); }, x);
    REQUIRE_FALSE(late.result());
    CHECK(late.result().error() == Errc::deadline_exceeded);
    const int after_late = kernels_inside.load();  // the deadline may have been faster than the kernel
    auto cancelled =
        node.submit([](Orchestrator& n, Tensor a) { n.submit("real_stuck", in(a), on_chip(0)); }, x);
    wait_inside(after_late + 1);
    cancelled.cancel();
    CHECK_FALSE(cancelled.result());
    node.run([](Orchestrator& n, Tensor a) { n.submit("real_increment", inout(a), on_chip(0)); }, x);
    CHECK(x.host<float>()[0] == 1.0F);
    CHECK(node.status().children[1].restarts == 0);
    const int so_far = kernels_inside.load();
    last = node.submit([](Orchestrator& n, Tensor a) { n.submit("real_stuck", in(a), on_chip(1)); }, x);
    wait_inside(so_far + 1);
    const auto status = node.status();
    REQUIRE(status.children[1].busy.size() == 1);
    CHECK(status.children[1].busy[0].starts_with("aiv24: real_stuck, for "));
    CHECK(last.why().find("real_stuck") != std::string::npos);
  }
  CHECK_FALSE(last.result());
  let_go();
}

TEST_CASE("real kernels that wait for a dead peer end with its loss, and the windows go once") {
  const int inside = kernels_inside.load();
  System system(quiet());
  auto node = system.node(sims(3));
  node.load(this_module());
  const auto before = entries("/proc/self/fd");
  auto program = [](Orchestrator& n, std::int32_t wait) -> Program {
    DomainSpec spec;
    spec.chips = chips(0, 1, 2);
    spec.buffers = {{"flags", 64}};
    auto domain = co_await n.allocate_domain(spec);
    n.submit_group(wait != 0 ? "real_wait" : "real_ring", domain.each([](auto& rank) {
      return args(inout(rank.template buffer<std::int32_t>("flags")), rank.context());
    }));
    co_await n.drained();
  };
  auto waits = node.submit(program, 1);
  wait_inside(inside + 3);
  kill(node, 1);
  const auto ended = waits.result();
  REQUIRE_FALSE(ended);
  CHECK_MESSAGE((ended.error() == Errc::chip_lost || ended.error().root() == comm::Errc::peer_lost),
                render(ended.error()));
  // Members of all lives work together.
  for (int i = 0; i < 5; ++i) node.run(program, 0);
  // They go by messages that follow the end of the run.
  auto windows = [&node] {
    std::uint64_t count = 0;
    for (const auto& child : node.status().children) count += child.windows;
    return count;
  };
  while (windows() != 0) std::this_thread::yield();
  CHECK(entries("/proc/self/fd") <= before + 3);
}

TEST_CASE("real chips come up from configuration with staged buffers, and store them") {
  const auto from = test::shared_name("in"), to = test::shared_name("out");
  auto input = comm::HostSegment::create(from, 256).value();
  auto output = comm::HostSegment::create(to, 256).value();
  input.bytes()[17] = std::byte{42};
  auto config = sims(2);
  for (int rank = 0; rank < 2; ++rank) {
    comm::ChipBootstrapConfig chip;
    chip.comm = comm::ChipCommBootstrapConfig{rank, 2, "pair", 4096};
    chip.buffers = {{.name = "input", .count = 64, .nbytes = 256},
                    {.name = "output", .count = 64, .nbytes = 256}};
    config.chip_bootstrap_configs.push_back(chip);
  }
  auto& zero = config.chip_bootstrap_configs[0];
  zero.buffers[0].load_from_host = true;
  zero.host_inputs = {{"input", from, 256}};
  zero.buffers[1].store_to_host = true;
  zero.host_outputs = {{"output", to, 256}};
  {
    System system(quiet());
    auto node = system.node(config);
    node.load(this_module());
    CHECK(node.chip_contexts()[1].rank == 1);
    node.run([](Orchestrator& n) {
      auto rank = n.configured_domain().rank(0);
      n.submit("real_copy", in(rank.buffer("input")), out_existing(rank.buffer("output")), on_chip(0));
    });
  }
  CHECK(output.bytes()[17] == std::byte{42});
}

TEST_CASE("tasks of one executor run in program order, whoever submits how") {
  // What each task saw is what the one before it left: exact in-order dependencies through one lane.
  System system(quiet());
  auto node = system.node(sims(1));
  node.load(this_module());
  std::vector<Tensor> steps;
  for (int i = 0; i <= 500; ++i) steps.push_back(node.tensor<float>({1}));
  auto x = node.tensor<float>({1});
  node.run([&](Orchestrator& n) {
    for (int i = 0; i <= 500; ++i) {
      n.submit("real_copy", in(x), out(steps[static_cast<std::size_t>(i)]));
      n.submit("real_increment", inout(x));
    }
  });
  for (int i = 0; i <= 500; ++i)
    REQUIRE(steps[static_cast<std::size_t>(i)].host<float>()[0] == static_cast<float>(i));
}
