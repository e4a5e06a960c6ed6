// Bytes that were only on a chip that dies are made again by the tasks that wrote them, where nothing has
// changed what those read; and nobody sees anything in between.
#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <random>
#include <vector>

#include "actors/placement/any_policy.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("twice", [](auto& call) {
    const auto from = call.template tensor<float>(0);
    const auto to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] * 2;
  });
  sim.kernel("add", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element += 1.0F;
  });
  sim.kernel("sum", [](auto& call) {
    const auto a = call.template tensor<float>(0);
    const auto b = call.template tensor<float>(1);
    const auto to = call.template tensor<float>(2);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = a[i] + b[i];
  });
  sim.kernel("both", [](auto& call) {
    const auto from = call.template tensor<float>(0);
    call.template tensor<float>(1)[0] = from[0] + 1;
    call.template tensor<float>(2)[0] = from[0] + 2;
  });
  sim.kernel("look", [](auto&) {});
}

/// Chip 0 dies under this, and has nothing else to do then.
void die(Orchestrator& n, Tensor flag) {
  n.drain();
  n.submit("look", in(flag), on_chip(0), retry(1));
  n.drain();
}

}  // namespace

TEST_CASE("what only a dead chip had is made again, with what that was made of") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  auto& node = sim.node();
  auto a = node.tensor<float>({4}, 1.0F), b = node.tensor<float>({4}), c = node.tensor<float>({4}),
       d = node.tensor<float>({4}), flag = node.tensor<float>({1});
  const auto report = node.submit(
                              [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor last, Tensor it) {
                                n.submit("twice", in(x), out(y), on_chip(0));
                                n.submit("twice", in(y), out(z), on_chip(0));
                                die(n, it);
                                n.submit("twice", in(z), out(last), on_chip(1));
                              },
                              a, b, c, d, flag)
                          .report();
  CHECK_FALSE(report.error);
  CHECK(report.made_again == 2);
  CHECK(d.host<const float>()[3] == 8.0F);
  CHECK(b.host<const float>()[0] == 2.0F);
  CHECK(sim.ran("twice") == 5);
}

TEST_CASE("a task that wrote two tensors runs once more for both of them") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}),
       flag = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor it) {
        n.submit("both", in(x), out(y), out(z), on_chip(0));
        die(n, it);
        CHECK(n.read<float>(y).get() == 2.0F);
        CHECK(n.read<float>(z).get() == 3.0F);
      },
      a, b, c, flag);
  CHECK(sim.ran("both") == 2);
}

TEST_CASE("intermediates and rows of a tensor are made again, and what is at home is not") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), rows = node.tensor<float>({4, 1}), flag = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor x, Tensor all, Tensor it) {
        auto middle = n.alloc<float>({1});
        n.submit("twice", in(x), out(middle), on_chip(0));
        for (std::uint64_t row = 0; row < 4; ++row)
          n.submit("twice", in(middle), out(all.rows(row, row + 1)), on_chip(row < 3 ? 0 : 1));
        CHECK(n.read<float>(all.rows(0, 1)).get() == 4.0F);
        die(n, it);
        n.submit("twice", in(middle), out(x), on_chip(1));
      },
      a, rows, flag);
  for (std::size_t row = 0; row < 4; ++row) CHECK(rows.host<const float>()[row] == 4.0F);
  CHECK(a.host<const float>()[0] == 4.0F);
  CHECK(sim.ran("twice") == 6 + 2);  // chip 1 had the intermediate brought home
}

TEST_CASE("what cannot be made again is lost: a change in place, inputs that have changed, or by wish") {
  enum class Case { in_place, input_changed, input_changed_by_host_function, off };
  for (const auto which :
       {Case::in_place, Case::input_changed, Case::input_changed_by_host_function, Case::off}) {
    Simulation sim({.chips = 2, .recover = which != Case::off});
    add_kernels(sim);
    sim.fault(testing::kill_chip(0).of("look"));
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), flag = node.tensor<float>({1});
    const auto lost = error_of([&] {
      node.run(
          [which](Orchestrator& n, Tensor x, Tensor y, Tensor it) {
            n.submit("twice", in(x), out(y), on_chip(0));
            if (which == Case::in_place) n.submit("add", inout(y), on_chip(0));
            if (which == Case::input_changed) n.submit("add", inout(x), on_chip(1));
            if (which == Case::input_changed_by_host_function)
              n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] = 9.0F; }, inout(x));
            die(n, it);
            n.submit("add", inout(y), on_chip(1));
          },
          a, b, flag);
    });
    REQUIRE(lost);
    CHECK(*lost == Errc::data_lost);
    CHECK(sim.ran("twice") == 1);
  }
}

TEST_CASE("a run whose bytes are made again while nobody waits for them ends when they are there") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  auto& node = sim.node();
  std::vector<float> memory{3.0F};
  auto b = node.tensor<float>({1}), flag = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor x, Tensor y, Tensor it) {
        n.submit("twice", in(x), out(y), on_chip(0));
        die(n, it);
      },
      Tensor::borrow(memory.data(), {1}), b, flag);
  memory[0] = 100.0F;  // the user's again: nothing reads it any more
  CHECK(b.host<const float>()[0] == 6.0F);
}

TEST_CASE(
    "what is made again is lost with its second chip, and made once more, and with a failure it is lost") {
  for (const bool fails : {false, true}) {
    Simulation sim({.chips = 2});
    add_kernels(sim);
    sim.fault(testing::kill_chip(0).of("look"));
    if (fails) {
      sim.fault(testing::fail("twice").at(2));
    } else {
      sim.fault(testing::kill_chip(1).of("twice").at(1));
      sim.fault(testing::kill_chip(0).of("twice").at(2));
    }
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}),
         flag = node.tensor<float>({1});
    const auto program = [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor it) {
      n.submit("twice", in(x), out(y), on_chip(0));
      die(n, it);
      n.submit("sum", in(y), in(y), out(z), retry(5));
    };
    const auto error = error_of([&] { node.run(program, a, b, c, flag); });
    if (fails) {
      REQUIRE(error);
      CHECK(*error == Errc::data_lost);
      CHECK(error->message().find(
                "the newest bytes of tensor f32[1] were only on node0/chip0, which is gone, and "
                "task \"twice\", which wrote them, could not make them again") != std::string::npos);
    } else {
      CHECK_FALSE(error);
      CHECK(c.host<const float>()[0] == 4.0F);
    }
  }
}

TEST_CASE("a program that is cancelled while bytes are made again ends") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  sim.fault(testing::delay(std::chrono::seconds(100)).of("twice").at(2));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), flag = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor x, Tensor y, Tensor it) -> Program {
        co_await n.submit("twice", in(x), out(y), on_chip(0));
        co_await n.submit("look", in(it), on_chip(0), retry(1));
        co_await n.submit("add", inout(y));
      },
      a, b, flag);
  sim.steps(100'000);
  CHECK_FALSE(handle.done());
  handle.cancel();
  const auto report = handle.report();
  REQUIRE(report.error);
  CHECK(*report.error == Errc::cancelled);
  node.run([](Orchestrator& n, Tensor x, Tensor y) { n.submit("twice", in(x), out(y)); }, a, b);
  CHECK(b.host<const float>()[0] == 2.0F);
}

TEST_CASE("nothing is made again for a program that was cancelled before") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::hang("twice").at(2));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1});
  std::atomic<bool> ended = false;
  auto handle = node.submit(
      [&ended](Orchestrator& n, Tensor x, Tensor y) -> Program {
        co_await n.submit("twice", in(x), out(y), on_chip(0));
        ended = true;
        co_await n.submit("look", on_chip(1), retry(1));
      },
      a, b);
  while (!ended && sim.step()) {
  }
  handle.cancel();
  sim.kill(0);
  const auto report = handle.report();  // a kernel that hangs would be waited for in vain
  REQUIRE(report.error);
  CHECK(*report.error == Errc::cancelled);
  CHECK(report.made_again == 0);
  const auto lost = error_of([&] { (void)b.host<const float>(); });
  REQUIRE(lost);
  CHECK(*lost == Errc::data_lost);
}

TEST_CASE("what the host writes while a task waits to run again is not what that task reads") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  sim.fault(testing::delay(std::chrono::seconds(10)).of("twice").at(2));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}),
       d = node.tensor<float>({1}, 5.0F), flag = node.tensor<float>({1});
  float seen = 0;
  const auto error = error_of([&] {
    node.run(
        [&seen](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor w, Tensor it) {
          n.submit("twice", in(x), out(y), on_chip(0));
          n.submit("sum", in(y), in(w), out(z), on_chip(0));
          die(n, it);
          w.host<float>()[0] = 100.0F;  // all tasks of the program that use it have ended
          seen = n.read<float>(z).get();
        },
        a, b, c, d, flag);
  });
  CHECK((error ? *error == Errc::data_lost : seen == 7.0F));
}

TEST_CASE("bytes of a task that did not come to its end a second time are never seen") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    int times = 0;
    sim.kernel("half", [&times](auto& call) {
      const auto to = call.template tensor<float>(1);
      to[0] = ++times == 1 ? 2.0F : 666.0F;
      if (times > 1) call.waits();
    });
    sim.fault(testing::kill_chip(0).of("look"));
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), flag = node.tensor<float>({1});
    auto first = node.submit(
        [](Orchestrator& n, Tensor x, Tensor y, Tensor it) -> Program {
          co_await n.submit("half", in(x), out(y), on_chip(0));
          co_await n.submit("look", in(it), on_chip(0), retry(1));
          co_await n.submit("add", inout(y));
        },
        a, b, flag);
    sim.steps(100'000);
    float seen = 2.0F;
    auto second =
        node.submit([&seen](Orchestrator& n, Tensor y) -> Program { seen = co_await n.read<float>(y); }, b);
    sim.steps(100'000);
    first.cancel();
    CHECK(first.report().error);
    (void)second.report();
    CHECK(seen == 2.0F);
    float viewed = 2.0F;
    (void)error_of([&] { viewed = b.host<const float>()[0]; });
    CHECK(viewed == 2.0F);
  }
}

TEST_CASE("a task that did not begin is not what wrote the bytes") {
  for (std::uint64_t call = 1; call < 5; ++call) {
    Simulation sim({.chips = 2});
    add_kernels(sim);
    sim.fault(testing::kill_chip(0).of("look"));
    sim.fault(testing::fail_call("copy_to_device_ctx", 0).at(call));
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}, 50.0F),
         flag = node.tensor<float>({1});
    bool second_ran = false;
    (void)error_of([&] {
      node.run(
          [&](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor it) {
            n.submit("twice", in(x), out(y), on_chip(0));
            n.drain();
            const auto task = n.submit("twice", in(z), out(y), on_chip(0));
            second_ran = !error_of([&] { task.wait(); });
            n.submit("look", in(it), on_chip(0), retry(1));
            n.drain();
          },
          a, b, c, flag);
    });
    float seen = 0;
    const auto lost = error_of([&] { seen = b.host<const float>()[0]; });
    if (!lost && sim.ran("twice") > 0) CHECK(seen == (second_ran ? 100.0F : 2.0F));
  }
}

TEST_CASE("groups, and what waits for a chain of tasks that run again, hear of their end") {
  SUBCASE("a group on other chips") {
    Simulation sim({.chips = 4});
    add_kernels(sim);
    sim.fault(testing::kill_chip(0).of("look"));
    sim.fault(testing::delay(std::chrono::seconds(10)).of("twice").at(2));
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}),
         d = node.tensor<float>({1}), flag = node.tensor<float>({1});
    node.run(
        [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor w, Tensor it) {
          n.submit("twice", in(x), out(y), on_chip(0));
          die(n, it);
          n.submit_group("twice", {args(in(y), out(z)), args(in(y), out(w))}, {2, 3});
        },
        a, b, c, d, flag);
    CHECK(c.host<const float>()[0] == 4.0F);
    CHECK(d.host<const float>()[0] == 4.0F);
  }
  SUBCASE("a chain of which the second fails") {
    Simulation sim({.chips = 2});
    add_kernels(sim);
    sim.fault(testing::kill_chip(0).of("look"));
    sim.fault(testing::delay(std::chrono::seconds(10)).of("twice").at(4));
    sim.fault(testing::fail("twice").at(5));
    auto& node = sim.node();
    auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), c = node.tensor<float>({1}),
         d = node.tensor<float>({1}), e = node.tensor<float>({1}), flag = node.tensor<float>({1});
    const auto lost = error_of([&] {
      node.run(
          [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Tensor w, Tensor v, Tensor it) {
            n.submit("twice", in(x), out(y), on_chip(0));
            n.submit("twice", in(y), out(z), on_chip(0));
            n.submit("twice", in(z), out(w), on_chip(0));
            die(n, it);
            n.submit("sum", in(w), in(w), out(v), on_chip(1));
          },
          a, b, c, d, e, flag);
    });
    REQUIRE(lost);
    CHECK(*lost == Errc::data_lost);
  }
}

TEST_CASE("a run that waits only for a task that runs again can be cancelled") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  sim.fault(testing::kill_chip(0).of("look"));
  sim.fault(testing::hang("twice").at(2));
  auto& node = sim.node();
  auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), flag = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor x, Tensor y, Tensor it) -> Program {
        co_await n.submit("twice", in(x), out(y), on_chip(0));
        co_await n.submit("look", in(it), on_chip(0), retry(1));
      },
      a, b, flag);
  sim.steps(100'000);
  CHECK_FALSE(handle.done());
  handle.cancel();
  const auto report = handle.report();
  REQUIRE(report.error);
  CHECK(*report.error == Errc::cancelled);
}

TEST_CASE("a system ends at whatever moment of a chip's death and of what follows it") {
  for (std::size_t steps = 1; steps < 200; ++steps) {
    CAPTURE(steps);
    std::optional<Handle> handle;
    {
      Simulation sim({.seed = steps % 7, .chips = 1});
      add_kernels(sim);
      sim.fault(testing::kill_chip(0).of("look"));
      auto& node = sim.node();
      auto a = node.tensor<float>({1}, 1.0F), b = node.tensor<float>({1}), flag = node.tensor<float>({1});
      handle = node.submit(
          [](Orchestrator& n, Tensor x, Tensor y, Tensor it) -> Program {
            co_await n.submit("twice", in(x), out(y), on_chip(0));
            try {
              co_await n.submit("look", in(it), on_chip(0));
            } catch (const Error&) {
              // the chip died
            }
          },
          a, b, flag);
      sim.steps(steps);
    }
    CHECK(handle->done());
  }
}

namespace {

struct Step {
  std::size_t a = 0, b = 0, to = 0;
  int chip = -1;
};

void submit(Orchestrator& n, const std::vector<Tensor>& all, const Step& step) {
  if (step.chip < 0) {
    n.submit("sum", in(all[step.a]), in(all[step.b]), out(all[step.to]), retry(20));
  } else {
    n.submit("sum", in(all[step.a]), in(all[step.b]), out(all[step.to]), retry(20), on_chip(step.chip));
  }
}

/// Every task writes only what it does not read, and may be tried again. `overwrites`: also tensors that
/// others have read before.
void random_program(std::uint64_t seed, bool overwrites) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto chips = 1 + below(4);
  Simulation sim({.seed = seed + 1,
                  .chips = static_cast<actors::Count>(chips),
                  .restart = {1000, std::chrono::hours(1)},
                  .placement = test::any_policy(seed)});
  add_kernels(sim);
  auto& node = sim.node();
  std::vector<Tensor> all;
  std::vector<float> expected;
  const auto add = [&] {
    expected.push_back(static_cast<float>(all.size() + 1));
    all.push_back(node.tensor<float>({2}, expected.back()));
  };
  for (int i = 0; i < 4; ++i) add();
  std::vector<Step> steps;
  for (auto count = 5 + below(25); count > 0; --count) {
    Step step{below(all.size()), below(all.size()), below(all.size()),
              static_cast<int>(below(chips + 1)) - 1};
    if (!overwrites) {
      step.to = all.size();
      add();
    }
    if (step.to == step.a || step.to == step.b) continue;
    expected[step.to] = expected[step.a] + expected[step.b];
    steps.push_back(step);
  }
  for (auto deaths = below(6); deaths > 0; --deaths)
    sim.fault(testing::kill_chip(static_cast<int>(below(chips))).at(1 + below(20)));
  const auto waits = below(8);
  const auto error = error_of([&] {
    node.run([&](Orchestrator& n) {
      for (std::size_t i = 0; i < steps.size(); ++i) {
        submit(n, all, steps[i]);
        if (waits != 0 && i % waits == 0) n.drain();
      }
    });
  });
  INFO(sim.replay());
  if (error) {
    INFO(render(*error));
    CHECK(overwrites);
    CHECK((*error == Errc::data_lost || *error == Errc::poisoned));
    return;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    float seen = 0;
    const auto lost = error_of([&] { seen = all[i].host<const float>()[1]; });
    if (lost) INFO(render(*lost));
    CHECK((lost ? overwrites && *lost == Errc::data_lost : seen == expected[i]));
  }
}

}  // namespace

TEST_CASE("random programs in which nothing is overwritten are right whatever chips die") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(300); ++seed) random_program(seed, false);
}

TEST_CASE("random programs that overwrite what others have read are right, or say what was lost") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(300); ++seed) random_program(seed, true);
}
