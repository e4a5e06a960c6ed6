// What a user relies on: tasks find the newest bytes wherever they are, and bytes move only when they have
// to.
#include <doctest/doctest.h>

#include <atomic>
#include <numeric>

#include "actors/data/counted.hpp"
#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::Counted;
using test::error_of;
using test::small_sims;
using testing::Simulation;
using testing::SimulationOptions;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("add", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element += 1.0F;
  });
  sim.kernel("copy_to", [](auto& call) {
    const auto from = call.template tensor<float>(0);
    const auto to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
  });
}

}  // namespace

TROUPE_KERNEL(data_add)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}
TROUPE_KERNEL(data_sum)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0);
  auto& total = k.tensor<float>(1)[0];
  for (const auto element : a) total += element;
}

TROUPE_KERNEL(data_break)(KernelArgs& k) {
  k.tensor<float>(0)[0] = 99.0F;
  throw std::runtime_error("a ghost");
}

TEST_CASE("a chain on one chip moves its tensor in once, and out once the host looks") {
  Counted bench(1);
  auto x = bench.node->tensor<float>({1024}, 1.0F);
  for (int run = 0; run < 3; ++run) {
    bench.node->run(
        [](Orchestrator& n, Tensor t) {
          for (int i = 0; i < 10; ++i) n.submit("add", inout(t));
        },
        x);
  }
  CHECK(Counted::in == 4096);
  CHECK(Counted::out == 0);
  CHECK(x.host<const float>()[1023] == 31.0F);
  CHECK(Counted::out == 4096);
  bench.node->run([](Orchestrator& n, Tensor t) { n.submit("add", inout(t)); }, x);
  CHECK(Counted::in == 4096);  // who only looks leaves the copy good
  CHECK(x.host<const float>()[0] == 32.0F);
}

TEST_CASE("readers share copies, and what is only written is not brought in") {
  Counted bench(2);
  bench.script.on("make", [](auto& call) {
    for (auto& element : call.template tensor<float>(1)) element = call.template tensor<float>(0)[0];
  });
  bench.node->add_kernel("make");
  auto x = bench.node->tensor<float>({256}, 5.0F);
  auto y = bench.node->tensor<float>({256}), z = bench.node->tensor<float>({256});
  for (int round = 0; round < 3; ++round) {
    bench.node->run(
        [](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
          n.submit("make", in(a), out(b), on_chip(0));
          n.submit("make", in(a), out(c), on_chip(1));
        },
        x, y, z);
  }
  CHECK(Counted::in == 2 * 1024);
  CHECK(y.host<const float>()[255] == 5.0F);
  CHECK(z.host<const float>()[255] == 5.0F);
}

TEST_CASE("a tensor goes from chip to chip, to host functions and back, in every order") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation sim({.seed = seed, .chips = 3});
    add_kernels(sim);
    auto& node = sim.node();
    auto x = node.tensor<float>({4});
    node.run(
        [](Orchestrator& n, Tensor t) {
          for (int i = 0; i < 12; ++i) {
            n.submit("add", inout(t), on_chip(i % 3));
            if (i % 4 == 0) n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += 1.0F; }, inout(t));
          }
        },
        x);
    CHECK(x.host<const float>()[0] == 15.0F);
    CHECK(x.host<const float>()[3] == 12.0F);
  }
}

TEST_CASE("what a task writes all of is not overwritten by bytes that were brought for the task behind it") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 1});
    add_kernels(sim);
    auto& node = sim.node();
    constexpr std::uint64_t elements = 140'000;  // a thread copies them
    auto x = node.tensor<float>({elements}, 1.0F), y = node.tensor<float>({elements}, 7.0F);
    node.run([](Orchestrator& n, Tensor from) { n.prefetch(from, on_chip(0)); }, x);
    node.run(
        [](Orchestrator& n, Tensor from, Tensor to) {
          n.submit("copy_to", in(from), out(to), on_chip(0));
          n.submit("add", inout(to), on_chip(0));
        },
        x, y);
    CHECK(y.host<const float>()[elements - 1] == 2.0F);
  }
}

TEST_CASE("a live view sees what a run wrote, and the next run what was written through it") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({2}, 1.0F);
  const auto step = [](Orchestrator& n, Tensor t) { n.submit("add", inout(t)); };
  {
    auto view = x.host<float>();
    node.run(step, x);
    CHECK(view[0] == 2.0F);
    view[0] = 10.0F;
    node.run(step, x);
    CHECK(view[0] == 11.0F);
    CHECK(view[1] == 3.0F);
    view[1] = 20.0F;
  }
  node.run(step, x);
  const auto seen = x.host<const float>();
  CHECK(seen[0] == 12.0F);
  CHECK(seen[1] == 21.0F);
  node.run(step, x);
  CHECK(seen[1] == 22.0F);
}

TEST_CASE(
    "memory of the user's own is written back when the run ends, and pointers into one tensor keep their "
    "edges") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  std::vector<float> mine(8, 1.0F);
  const auto borrowed = Tensor::borrow(mine.data(), {8});
  node.run([borrowed](Orchestrator& n) {
    for (int i = 0; i < 4; ++i) n.submit("add", inout(borrowed));
  });
  CHECK(mine == std::vector<float>(8, 5.0F));
  mine[0] = 0.0F;  // the next run sees it
  node.run([borrowed](Orchestrator& n) { n.submit("add", inout(borrowed)); });
  CHECK(mine[0] == 1.0F);

  auto x = node.tensor<float>({8});
  const auto inside = Tensor::borrow(x.host<float>().data() + 4, {4});
  node.run(
      [inside](Orchestrator& n, Tensor all) {
        n.submit("add", inout(all));
        n.submit("add", inout(inside));
        n.submit("add", inout(all));
      },
      x);
  CHECK(x.host<const float>()[3] == 2.0F);
  CHECK(x.host<const float>()[4] == 3.0F);

  const auto across = Tensor::borrow(mine.data() + 4, {4});
  const auto longer = Tensor::borrow(mine.data(), {6});
  const auto refused = error_of([&] {
    node.run([across, longer](Orchestrator& n) {
      n.submit("add", inout(across));
      n.submit("add", inout(longer));
    });
  });
  REQUIRE(refused);
  CHECK(refused->message().find("lies partly in the memory of another tensor") != std::string::npos);
}

TEST_CASE("copies, fills, prefetches, pins and evictions are tasks like any other") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    auto x = node.tensor<float>({4}), y = node.tensor<float>({4});
    auto there = node.chip(1).malloc<float>({4});
    std::vector<float> seen;
    node.run(
        [&seen](Orchestrator& n, Tensor a, Tensor b, Tensor device) -> Program {
          n.fill(a, 3.0F);
          n.prefetch(a, on_chip(1));
          n.submit("add", inout(a), on_chip(1));
          n.pin(a, on_chip(1));
          n.copy(device, a);
          n.submit("add", inout(device));
          n.fill(b.rows(0, 2), 7.0F);
          n.copy(b.rows(2, 4), device.rows(0, 2));
          n.evict(a);
          co_await n.fetch(a);
          CHECK(a.host<const float>()[0] == 4.0F);
          seen = co_await n.read_all<float>(device);
        },
        x, y, there);
    CHECK(seen == std::vector<float>(4, 5.0F));
    const auto b = y.host<const float>();
    CHECK(std::vector<float>(b.begin(), b.end()) == std::vector<float>{7.0F, 7.0F, 5.0F, 5.0F});
  }
}

TEST_CASE("copies and fills that cannot be meant are refused where they are submitted") {
  Simulation sim;
  auto& node = sim.node();
  auto x = node.tensor<float>({4}), y = node.tensor<float>({5});
  auto z = node.tensor<std::int32_t>({4});
  const auto refused = [&](auto submit) {
    const auto error = error_of([&] { node.run([submit](Orchestrator& n) { submit(n); }); });
    return error ? error->message() : std::string("nothing");
  };
  CHECK(refused([&](Orchestrator& n) { n.copy(x, y); }).find("of one shape and type") != std::string::npos);
  CHECK(refused([&](Orchestrator& n) { n.copy(x, z); }).find("of one shape and type") != std::string::npos);
  CHECK(refused([&](Orchestrator& n) { n.fill(z, 1.0F); }).find("fill with a f32") != std::string::npos);
  CHECK(refused([&](Orchestrator& n) { n.prefetch(x, on_chip(7)); }).find("no chip number 7") !=
        std::string::npos);
}

TEST_CASE("what one node has another node finds, also in a pod") {
  SystemConfig quiet;
  quiet.log = [](int, std::string_view, std::string_view) {};
  System system(quiet);
  auto first = system.node(small_sims(2, 1U << 24U));
  auto config = small_sims(1, 1U << 24U);
  config.name = "node1";
  auto second = system.node(config);
  first.load(this_module());
  second.load(this_module());
  auto x = first.tensor<float>({300'000});
  const auto step = [](Orchestrator& n, Tensor t) { n.submit("data_add", inout(t), on_chip(0)); };
  for (int i = 0; i < 4; ++i) (i % 2 == 0 ? first : second).run(step, x);
  CHECK(x.host<const float>()[299'999] == 4.0F);

  PodConfig pod_config;
  pod_config.nodes = {small_sims(1, 1U << 24U), config};
  auto pod = system.pod(pod_config);
  pod.load(this_module());
  pod.run(
      [](Orchestrator& n, Tensor t) {
        for (int i = 0; i < 6; ++i) {
          n.submit(
              +[](Orchestrator& below, Tensor inner) { below.submit("data_add", inout(inner)); }, inout(t),
              on_chip(i % 2));
        }
      },
      x);
  CHECK(x.host<const float>()[0] == 10.0F);
}

TEST_CASE("what only a chip has comes home before it is reset, removed, or goes with its system") {
  std::optional<System> system(std::in_place,
                               SystemConfig{.log = [](int, std::string_view, std::string_view) {}});
  auto node = system->node(small_sims(3, 1U << 24U));
  node.load(this_module());
  auto x = node.tensor<float>({200'000}), y = node.tensor<float>({4}), z = node.tensor<float>({200'000});
  node.run(
      [](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
        n.submit("data_add", inout(a), on_chip(0));
        n.submit("data_add", inout(b), on_chip(1));
        n.submit("data_add", inout(c), on_chip(2));
      },
      x, y, z);
  node.chip(0).reset();
  CHECK(x.host<const float>()[199'999] == 1.0F);
  node.remove_executor(1);
  CHECK(y.host<const float>()[3] == 1.0F);
  system.reset();
  CHECK(z.host<const float>()[199'999] == 1.0F);
}

TEST_CASE(
    "a chip that dies takes what only it had: who reads it hears that, and all of it may be written again") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({4}), y = node.tensor<float>({4}, 1.0F);
  node.run([](Orchestrator& n, Tensor a) { n.submit("add", inout(a), on_chip(0)); }, x);
  sim.kill(0);
  const auto step = [](Orchestrator& n, Tensor a) { n.submit("add", inout(a), on_chip(1)); };
  const auto lost = node.submit(step, x).result();
  REQUIRE_FALSE(lost);
  CHECK(lost.error() == Errc::data_lost);
  CHECK(error_of([&] { (void)x.host<const float>(); }));
  node.run([](Orchestrator& n, Tensor a, Tensor b) { n.submit("copy_to", in(b), out(a)); }, x, y);
  node.run(step, x);
  CHECK(x.host<const float>()[0] == 2.0F);
}

TEST_CASE("who reads lost bytes is told which tensor it was, which task wrote it last, and on which chip") {
  Simulation sim({.chips = 2, .recover = false});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({4, 2}), rows = node.tensor<float>({4, 2});
  auto there = node.chip(0).malloc<float>({3});
  node.run(
      [](Orchestrator& n, Tensor a, Tensor parts) {
        n.submit("add", inout(a), on_chip(0), name("an earlier one"));
        n.submit("add", inout(a), on_chip(0), name("the last of the tasks with long names"));
        n.submit("add", inout(parts.rows(0, 2)), on_chip(0));
        n.submit("add", inout(parts.rows(2, 4)), on_chip(1));
      },
      x, rows);
  sim.kill(0);
  const auto said = [](const std::optional<Error>& error) { return error ? error->message() : "nothing"; };
  const auto step = [](Orchestrator& n, Tensor a) { n.submit("add", inout(a), on_chip(1), name("late")); };
  const auto refused = node.submit(step, x).result();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find(
            "the newest bytes of tensor f32[4, 2], which task \"the last of the tasks "
            "with long names\" wrote, were only on node0/chip0, which is gone") != std::string::npos);
  CHECK(refused.error().hint().find("write all of it again") != std::string::npos);
  CHECK(said(error_of([&] { (void)rows.host<const float>(); })) ==
        "the newest bytes of a part of tensor f32[4, 2], which task \"add\" wrote, were only on node0/chip0, "
        "which is gone");
  const auto gone = node.submit([](Orchestrator& n, Tensor a) { n.submit("add", inout(a)); }, there).result();
  REQUIRE_FALSE(gone);
  CHECK(gone.error().message().find("device tensor f32[3] died with an earlier life of chip0") !=
        std::string::npos);
}

TEST_CASE("who reads what a failed task was to write is told which tensor it is") {
  Simulation sim;
  add_kernels(sim);
  sim.kernel("breaks", [](auto&) { throw std::runtime_error("a ghost"); });
  auto& node = sim.node();
  auto x = node.tensor<float>({4});
  CHECK_FALSE(node.submit([](Orchestrator& n, Tensor a) { n.submit("breaks", inout(a)); }, x).result());
  const auto lost = error_of([&] { (void)x.host<const float>(); });
  REQUIRE(lost);
  CHECK(lost->message() ==
        "tensor f32[4] has no valid bytes: task \"breaks\", which was to write it, did not end well");
}

TEST_CASE("a run keeps the tensors of every kind of submit, also when the program drops them at once") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  std::vector<float> seen;
  node.run([&seen](Orchestrator& n) -> Program {
    std::vector<Tensor> results;
    for (int i = 0; i < 3; ++i) results.push_back(n.tensor<float>({64}));
    {
      const auto a = n.tensor<float>({64}, 1.0F), b = n.tensor<float>({64}, 2.0F),
                 c = n.tensor<float>({64}, 3.0F);
      n.submit_group("copy_to", {args(in(a), out(results[0])), args(in(b), out(results[1]))});
      n.copy(results[2], c);
    }
    for (int i = 0; i < 8; ++i) (void)n.tensor<float>({64});  // would get their memory
    for (const auto& result : results) seen.push_back(co_await n.read<float>(result));
  });
  CHECK(seen == std::vector<float>{1.0F, 2.0F, 3.0F});
}

TEST_CASE("what one System has another one finds, as long as both are there and after") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  std::optional<System> first(std::in_place, quiet);
  System second(quiet);
  auto there = first->node(small_sims(1, 1U << 24U)), here = second.node(small_sims(1, 1U << 24U));
  there.load(this_module());
  here.load(this_module());
  auto x = there.tensor<float>({200'000});
  const auto step = [](Orchestrator& n, Tensor t) { n.submit("data_add", inout(t)); };
  there.run(step, x);
  here.run(step, x);
  there.run(step, x);
  first.reset();
  here.run(step, x);
  CHECK(x.host<const float>()[199'999] == 4.0F);
}

TEST_CASE("a task that was to overwrite a tensor at home and did not run leaves what a chip has") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.kernel("breaks", [](auto&) { throw std::runtime_error("a ghost"); });
  auto& node = sim.node();
  auto x = node.tensor<float>({4}), other = node.tensor<float>({4});
  node.run([](Orchestrator& n, Tensor a) { n.submit("add", inout(a), on_chip(0)); }, x);
  const auto result = node.submit(
                              [](Orchestrator& n, Tensor a, Tensor b) {
                                const auto doomed = n.submit("breaks", inout(b), on_chip(0));
                                n.fill(a, 7.0F, after(doomed), on_chip(0));
                              },
                              x, other)
                          .result();
  CHECK_FALSE(result);
  float seen = 0.0F;
  const auto lost = error_of([&] { seen = x.host<const float>()[0]; });
  CHECK((lost ? *lost == Errc::data_lost : seen == 1.0F));
}

TEST_CASE(
    "a copy between parts of one tensor that overlap is as if all were read before anything is written") {
  Simulation sim({.chips = 1});
  auto& node = sim.node();
  auto x = node.tensor<float>({6});
  {
    auto view = x.overwrite<float>();
    std::iota(view.begin(), view.end(), 0.0F);
  }
  node.run([](Orchestrator& n, Tensor t) { n.copy(t.rows(1, 6), t.rows(0, 5)); }, x);
  const auto seen = x.host<const float>();
  CHECK(std::vector<float>(seen.begin(), seen.end()) == std::vector<float>{0, 0, 1, 2, 3, 4});
}

TEST_CASE("a program reads the newest bytes of memory of the user's own, and of a pointer into a tensor") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    std::vector<float> mine(8, 1.0F);
    auto x = node.tensor<float>({8}, 2.0F);
    const auto own = Tensor::borrow(mine.data(), {8});
    const auto inside = Tensor::borrow(x.host<const float>().data() + 4, {4});
    std::vector<float> seen, part;
    node.run(
        [&](Orchestrator& n, Tensor known) -> Program {
          n.submit("add", inout(own), on_chip(1));
          seen = co_await n.read_all<float>(own);
          n.submit("add", inout(known), on_chip(1));
          part = co_await n.read_all<float>(inside);
          n.submit("add", inout(own), on_chip(0));
          co_await n.fetch(own);
          CHECK(mine[7] == 3.0F);
        },
        x);
    CHECK(seen == std::vector<float>(8, 2.0F));
    CHECK(part == std::vector<float>(4, 3.0F));
  }
}

TEST_CASE("a view for which a coroutine would have to wait is refused, and behind a fetch it is not") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({4});
  std::optional<Error> refused;
  float seen = 0;
  node.run(
      [&](Orchestrator& n, Tensor t) -> Program {
        n.submit("add", inout(t));
        co_await n.drained();
        refused = error_of([&] { (void)t.host<const float>(); });
        co_await n.fetch(t);
        seen = t.host<const float>()[3];
      },
      x);
  REQUIRE(refused);
  CHECK(*refused == Errc::blocking_in_coroutine);
  CHECK(refused->hint().find("co_await node.fetch(x)") != std::string::npos);
  CHECK(seen == 1.0F);
}
