// Which chip a policy chooses, and what it is shown: whole nodes in virtual time.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/actors/placing.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::ChipForTask;
using actors::earliest_finish;
using actors::Errc;
using actors::least_loaded;
using actors::TaskToPlace;
using actors::where_the_data_is;
using test::error_of;
using testing::Simulation;

namespace {

/// Kernels "k1" to "k9", which take so many milliseconds; the node has seen each once.
void teach(Simulation& sim) {
  for (std::uint64_t i = 1; i < 10; ++i) {
    const auto kernel = "k" + std::to_string(i);
    sim.kernel(kernel, [i](auto& call) { call.takes(i * 1'000'000); });
  }
  sim.node().run([](Orchestrator& n) {
    for (int i = 1; i < 10; ++i) n.submit("k" + std::to_string(i));
  });
}

/// How long tasks of so many milliseconds each take together.
std::int64_t makespan(Simulation& sim, const std::vector<int>& times) {
  const auto begin = sim.now();
  sim.node().run([&](Orchestrator& n) {
    for (const int time : times) n.submit("k" + std::to_string(time));
  });
  return std::chrono::duration_cast<std::chrono::milliseconds>(sim.now() - begin).count();
}

/// The least that any distribution over the chips takes.
int best_makespan(const std::vector<int>& times, std::vector<int>& chips, std::size_t from = 0) {
  if (from == times.size()) return *std::max_element(chips.begin(), chips.end());
  int best = 1'000'000;
  for (auto& chip : chips) {
    chip += times[from];
    best = std::min(best, best_makespan(times, chips, from + 1));
    chip -= times[from];
  }
  return best;
}

}  // namespace

TEST_CASE("policies: what they choose of a list") {
  const TaskToPlace task;
  const auto chip = [](std::uint32_t tasks, std::chrono::nanoseconds busy, std::uint64_t missing) {
    return ChipForTask{0, tasks, busy, missing, std::chrono::nanoseconds(missing), 10ns};
  };
  std::vector<ChipForTask> chips{chip(2, 20ns, 0), chip(1, 40ns, 30), chip(3, 30ns, 0)};
  CHECK(least_loaded(task, chips) == 1);
  CHECK(where_the_data_is(task, chips) == 0);
  CHECK(earliest_finish(task, chips) == 0);
  chips[0].busy = 35ns;
  CHECK(earliest_finish(task, chips) == 2);
  for (auto& it : chips) it.takes.reset();
  CHECK(earliest_finish(task, chips) == 1);  // nothing is known
  CHECK(least_loaded(task, std::span(chips).first(1)) == 0);
}

TEST_CASE("policies: with earliest_finish short tasks pass a long one") {
  const auto span = [](const PlacementPolicy& policy) {
    Simulation sim({.chips = 2, .placement = policy});
    teach(sim);
    return makespan(sim, {9, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  };
  CHECK(span(earliest_finish) == 9);
  CHECK(span(least_loaded) > 9);
}

TEST_CASE(
    "policies: independent tasks end within Graham's bound of the best distribution, and sooner than spread "
    "blindly") {
  std::int64_t learned = 0, blind = 0;
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(40); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto chips = static_cast<std::size_t>(2 + random() % 2);
    std::vector<int> times(3 + random() % 6);
    for (auto& time : times) time = static_cast<int>(1 + random() % 9);
    std::vector<int> loads(chips);
    const auto best = best_makespan(times, loads);
    const auto span = [&](const PlacementPolicy& policy) {
      Simulation sim({.chips = static_cast<actors::Count>(chips), .placement = policy});
      teach(sim);
      return makespan(sim, times);
    };
    const auto m = static_cast<double>(chips);
    const auto with = span(earliest_finish);
    CHECK(static_cast<double>(with) <= (2 - 1 / m) * best + 1e-9);
    learned += with;
    blind += span(least_loaded);
  }
  MESSAGE("earliest_finish / least_loaded: " << static_cast<double>(learned) / static_cast<double>(blind));
  if (test::seeds(40) > 1) {
    CHECK(learned < blind);
  } else {
    CHECK(learned <= blind);  // one set, to be seen again
  }
}

TEST_CASE(
    "policies: a task goes where the bytes are that it reads, unless that costs more than to bring them") {
  const auto look_behind = [](Simulation& sim, const Tensor& x, bool busy) {
    sim.node().run(
        [busy](Orchestrator& n, Tensor a) {
          if (busy) n.submit("k9", on_chip(2));
          n.flush();
          n.submit("look", in(a));
        },
        x);
    int chip = -1;
    for (const auto& ran : sim.ran()) chip = ran.kernel == "look" ? ran.chip : chip;
    return chip;
  };
  for (const bool waits : {false, true}) {
    CAPTURE(waits);
    Simulation sim({.chips = 3, .placement = waits ? where_the_data_is : earliest_finish});
    teach(sim);
    sim.kernel("look", [](auto&) {});
    auto x = sim.node().tensor<float>({1 << 20});
    sim.node().run([](Orchestrator& n, Tensor a) { n.submit("look", inout(a), on_chip(2)); }, x);
    CHECK(look_behind(sim, x, false) == 2);
    CHECK((look_behind(sim, x, true) == 2) == waits);
  }
}

TEST_CASE("policies: one of a user's own is shown plain facts, and obeyed") {
  std::vector<std::string> seen;
  Simulation sim({.chips = 3, .placement = [&](const TaskToPlace& task, std::span<const ChipForTask> chips) {
                    std::string text(task.name);
                    text += " " + std::string(task.callable) + " " + std::to_string(task.bytes);
                    for (const auto& it : chips)
                      text += " " + std::to_string(it.chip) + ":" + std::to_string(it.tasks) + ":" +
                              std::to_string(it.missing) +
                              (it.takes ? ":" + std::to_string(it.takes->count()) : "");
                    seen.push_back(text);
                    return chips.size() - 1;
                  }});
  sim.kernel("look", [](auto& call) { call.takes(1000); });
  auto x = sim.node().tensor<float>({4});
  const auto look = [](Orchestrator& n, Tensor a) { n.submit("look", in(a), name("a look")); };
  sim.node().run(look, x);
  sim.node().run(look, x);
  sim.node().run([](Orchestrator& n, Tensor a) { n.submit("look", in(a), on_chip(0)); }, x);  // not asked
  CHECK(sim.ran_on(2) == 2);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == "a look look 16 0:0:16 1:0:16 2:0:16");
  CHECK(seen[1] == "a look look 16 0:0:16:1000 1:0:16:1000 2:0:0:1000");
}

TEST_CASE("policies: one that answers nonsense, or throws, costs the task that it was asked about") {
  bool throws = false;
  Simulation sim(
      {.chips = 2,
       .placement = [&](const TaskToPlace& task, std::span<const ChipForTask> chips) -> std::size_t {
         if (task.name != "bad") return 0;
         if (throws) throw std::runtime_error("I do not know");
         return chips.size();
       }});
  sim.kernel("step", [](auto&) {});
  for (const bool how : {false, true}) {
    throws = how;
    const auto error =
        error_of([&] { sim.node().run([](Orchestrator& n) { n.submit("step", name("bad")); }); });
    REQUIRE(error);
    CHECK(error->root() == Errc::bad_argument);
    const auto text = render(*error);
    CAPTURE(text);
    CHECK(text.find(how ? "I do not know" : "place 2 of a list of 2") != std::string::npos);
    sim.node().run([](Orchestrator& n) { n.submit("step", name("good")); });
  }
}

TEST_CASE("policies: what was learned is in the status, and in a file for the next node") {
  const std::string file = "policies-test-" + std::to_string(test::first_seed()) + ".txt";
  std::remove(file.c_str());
  {
    Simulation sim({.chips = 2, .placement = earliest_finish, .models = file});
    teach(sim);
    const auto learned = sim.node().status().learned;
    REQUIRE(learned.size() == 9);
    CHECK(learned[8].callable == "k9");
    CHECK(learned[8].takes == 9ms);
    CHECK(learned[8].count == 1);
  }
  {
    Simulation sim({.chips = 2, .placement = earliest_finish, .models = file});
    for (std::uint64_t i : {1, 9}) {
      const auto kernel = "k" + std::to_string(i);
      sim.kernel(kernel, [i](auto& call) { call.takes(i * 1'000'000); });
    }
    CHECK(makespan(sim, {9, 1, 1, 1, 1, 1, 1, 1, 1, 1}) == 9);
  }
  std::remove(file.c_str());
  const auto error = error_of([] { (void)Simulation({.models = "somewhere"}).node(); });
  REQUIRE(error);
  CHECK(*error == Errc::bad_argument);
}

TEST_CASE("policies: one that asks its node for something is told so, and hangs nobody") {
  Node* there = nullptr;
  Tensor x;
  int what = 0;
  Simulation sim(
      {.chips = 2, .placement = [&](const TaskToPlace& task, std::span<const ChipForTask>) -> std::size_t {
         if (task.name != "bad") return 0;
         if (what == 0) (void)there->status();
         if (what == 1) there->run([](Orchestrator&) {});
         if (what == 2) (void)there->submit([](Orchestrator&) {});
         if (what == 3) (void)x.host<const float>();
         return 0;
       }});
  sim.kernel("step", [](auto&) {});
  there = &sim.node();
  x = there->tensor<float>({4});
  for (what = 0; what < 4; ++what) {
    CAPTURE(what);
    there->run([](Orchestrator& n, Tensor a) { n.submit("step", inout(a)); }, x);
    const auto error = error_of([&] { there->run([](Orchestrator& n) { n.submit("step", name("bad")); }); });
    REQUIRE(error);
    const auto text = render(*error);
    CHECK_MESSAGE(text.find("a placement policy asks a node") != std::string::npos, text);
  }
}

TEST_CASE("policies: nodes of a pod do not keep what they learn in one file") {
  const auto error = error_of([] {
    System system;
    const NodeConfig one{.name = "node0", .placement = earliest_finish, .models = "same"};
    NodeConfig other = one;
    other.name = "node1";
    (void)system.pod({.nodes = {one, other}});
  });
  REQUIRE(error);
  CHECK(*error == Errc::bad_argument);
}

TEST_CASE("policies: two nodes of a system do not keep what they learn in one file") {
  SystemConfig quiet;
  quiet.log = [](int, std::string_view, std::string_view) {};
  System system(quiet);
  const auto file = tests::built("tests/actors/two_nodes_" + std::to_string(::getpid()));
  const platform::ScriptedChip script;
  NodeConfig one{.name = "node0", .placement = earliest_finish, .models = file};
  one.device = [script](int, std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  const auto node = system.node(one);
  one.name = "node1";
  one.models = tests::built("tests/../tests/actors/two_nodes_" + std::to_string(::getpid()));
  const auto error = error_of([&] { (void)system.node(one); });
  REQUIRE(error);
  CHECK(*error == Errc::bad_argument);
  CHECK(render(*error).find("node0 keeps what it learns") != std::string::npos);
}

TEST_CASE("policies: what a plan does on a chip is learned as one task") {
  Simulation sim({.chips = 2, .placement = earliest_finish});
  sim.kernel("step", [](auto& call) { call.takes(1'000'000); });
  auto& node = sim.node();
  auto x = node.tensor<float>({4});
  const auto plan = node.record(
      [](Orchestrator& n, Tensor a) {
        for (int i = 0; i < 5; ++i) n.submit("step", inout(a), on_chip(1));
      },
      x);
  node.run(plan, x);
  std::chrono::nanoseconds longest{};
  for (const auto& learned : node.status().learned) longest = std::max(longest, learned.takes);
  CHECK(longest == 5ms);
}

TEST_CASE(
    "policies: chips that die, tasks that fail or wait for bytes and are cancelled, leave no debts in what "
    "is expected") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(100); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::chrono::nanoseconds busy{};
    Simulation sim({.seed = seed,
                    .chips = 3,
                    .placement = [&](const TaskToPlace& task, std::span<const ChipForTask> chips) {
                      busy = {};
                      for (const auto& it : chips) {
                        CHECK(it.busy >= 0ns);
                        CHECK((it.tasks > 0 || it.busy == 0ns));
                        busy += it.busy;
                      }
                      return task.priority > 0 ? random() % chips.size() : earliest_finish(task, chips);
                    }});
    teach(sim);
    sim.fault(testing::fail("k3").at(2));
    std::vector<Tensor> data;
    for (int i = 0; i < 4; ++i) data.push_back(sim.node().tensor<float>({65'536}));
    // Known with these tensors, too.
    sim.node().run([&](Orchestrator& n) {
      for (int i = 1; i < 10; ++i) n.submit("k" + std::to_string(i), in(data[0]), in(data[1]), retry(1));
      for (int i = 0; i < 4; ++i) n.submit("k1", inout(data[static_cast<std::size_t>(i)]), on_chip(i % 3));
    });
    auto run = sim.node().submit([&](Orchestrator& n) {
      for (int i = 0; i < 30; ++i) {
        const auto& a = data[random() % 4];
        const auto& b = data[random() % 4];
        n.submit("k" + std::to_string(1 + i % 9), in(a), in(b), retry(1),
                 priority(static_cast<int>(random() % 2)));
      }
    });
    sim.steps(random() % 200);
    random() % 2 == 0 ? sim.kill(static_cast<int>(random() % 3)) : run.cancel();
    (void)run.result();
    while (sim.steps(1000) > 0) {
    }
    sim.node().run([](Orchestrator& n) { n.submit("k1"); });
    CHECK(busy == 0ns);
  }
}
