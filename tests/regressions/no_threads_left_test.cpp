// A process that got no more threads (ulimit -u, pids.max of a container) did not say so, it hung: a host
// function, or a plain program, was run in place of its thread on the thread of the actor that had asked for
// one, which the function then waited for; the runs of a chip were put into deferred calls, all of which one
// actor makes, so that the kernel of one chip, which waited for its peer's, kept that from ever starting; a
// refused launch was answered as accepted and its end told to nobody. CAF, short of a worker, left a mutex
// with sleepers, or ended the process.
//
// Promised now: whoever wants a thread and gets none fails by name, with the limits in the hint, and nothing
// else does. A system needs one thread for actors and one for timers, and says so if it has less.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/few_threads.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using test::error_of;

/// Tells the next rank, and waits for the one before.
TROUPE_KERNEL(few_threads_ring)(KernelArgs& k) {
  auto flag = k.tensor<std::int32_t>(0);
  const auto& domain = *k.scalar<const runtime::CommContext*>(0);
  auto* there = domain.on_peer(flag.data(), (domain.rank + 1) % domain.rank_count);
  k.notify(*there, std::int32_t{1});
  (void)k.wait_until(flag[0], Compare::equal, 1);
}
TROUPE_KERNEL(few_threads_raise)(KernelArgs& k) { k.notify(k.tensor<std::int32_t>(0)[0], std::int32_t{1}); }

namespace {

struct Bench {
  explicit Bench(int chips = 1) {
    SystemConfig config;
    config.threads = 2;
    config.host = host;
    system.emplace(config);
    node.emplace(system->node(
        {.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = chips, .sub_workers = 1}));
    node->load(this_module());
  }
  std::shared_ptr<tests::FewThreads> host = std::make_shared<tests::FewThreads>();
  std::optional<System> system;
  std::optional<Node> node;
};

void says_why(const std::optional<Error>& error, std::int32_t code) {
  REQUIRE(error);
  CHECK(error->root().code().value == code);
  CHECK(error->root().message().find("no thread for") != std::string::npos);
  CHECK(render(*error).find("ulimit -u") != std::string::npos);
}
constexpr auto out_of_threads = static_cast<std::int32_t>(actors::Errc::out_of_threads);

}  // namespace

TEST_CASE("a host function that gets no thread fails by name, the next one, which gets one, runs") {
  Bench bench;
  bench.host->refuse("troupe-sub");
  int calls = 0;
  auto call = [&](Orchestrator& program) { program.submit_sub([&](HostArgs&) { ++calls; }); };
  const auto error = error_of([&] { bench.node->run(call); });
  says_why(error, out_of_threads);
  bench.host->refuse_nothing();
  bench.node->run(call);
  CHECK(calls == 1);
}

TEST_CASE("a plain program that nobody waits for and that gets no thread ends with the reason") {
  Bench bench;
  bench.host->refuse("troupe-program");
  std::atomic<int> calls = 0;
  auto program = [&](Orchestrator& node) {
    node.drain();
    ++calls;
  };
  const auto report = bench.node->submit(program).report();
  says_why(report.error, out_of_threads);
  bench.host->refuse_nothing();
  CHECK(!bench.node->submit(program).report().error);
  CHECK(calls == 1);
}

TEST_CASE("kernels that wait for each other on chips of which one gets no thread fail, all of them") {
  for (const int threads : {0, 1, 2, 5, 7}) {
    CAPTURE(threads);
    Bench bench(8);
    bench.host->leave(threads);
    const auto error = error_of([&] {
      bench.node->run([](Orchestrator& node) -> Program {
        DomainSpec spec;
        spec.chips = chips(0, 1, 2, 3, 4, 5, 6, 7);
        spec.buffers = {{"flags", 64}};
        auto domain = co_await node.allocate_domain(spec);
        node.submit_group("few_threads_ring", domain.each([](auto& rank) {
          return args(inout(rank.template buffer<std::int32_t>("flags")), rank.context());
        }));
        co_await node.drained();
      });
    });
    says_why(error, static_cast<std::int32_t>(platform::Errc::system));
    bench.host->refuse_nothing();
    auto x = bench.node->tensor<std::int32_t>({1});
    bench.node->run([&](Orchestrator& node) {
      for (int chip = 0; chip < 8; ++chip) node.submit("few_threads_raise", inout(x), on_chip(chip));
    });
    CHECK(x.host<const std::int32_t>()[0] == 1);
  }
}

TEST_CASE("a system that gets one thread for actors works, with fewer it is refused by name") {
  for (const int threads : {0, 1}) {
    CAPTURE(threads);
    SystemConfig config;
    config.threads = 4;
    auto host = std::make_shared<tests::FewThreads>();
    host->leave(threads);
    config.host = host;
    const auto error = error_of([&] { System system(config); });
    says_why(error, out_of_threads);
  }
  std::string said;
  SystemConfig config;
  config.threads = 4;
  config.log = [&](int level, std::string_view, std::string_view text) {
    if (level == 2) said += text;
  };
  auto host = std::make_shared<tests::FewThreads>();
  host->leave(2);
  config.host = host;
  System system(config);
  CHECK(said.find("1 of 4 threads for actors") != std::string::npos);
  host->refuse_nothing();
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 2});
  node.load(this_module());
  auto x = node.tensor<std::int32_t>({1});
  node.run([&](Orchestrator& program) { program.submit("few_threads_raise", inout(x)); });
  CHECK(x.host<const std::int32_t>()[0] == 1);
}

TEST_CASE("what ends by itself is done without a thread: chips come up, copies are made, chips go down") {
  Bench bench;
  bench.host->leave(0);
  bench.node->add_executor(ChipConfig{.platform = tests::built("lib/libtroupe_a2a3sim.so"), .device_id = 1});
  const auto chip = bench.node->chip(0);
  const std::uint32_t elements = 1U << 20U;  // more than an actor copies itself
  const auto host = bench.node->tensor<float>({elements}, 3.0F);
  const auto device = chip.malloc<float>({elements});
  chip.copy_to(device, host);
  auto back = bench.node->tensor<float>({elements});
  chip.copy_from(back, device);
  CHECK(back.host<const float>()[elements - 1] == 3.0F);
  bench.system.reset();
}
