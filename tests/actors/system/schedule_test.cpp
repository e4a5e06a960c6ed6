// Random programs under random interleavings, with faults: whatever happens, a run ends in bounded steps,
// with the sequential result or a typed error that a fault explains, and nothing is left behind.
#include <doctest/doctest.h>

#include <random>

#include "actors/placement/any_policy.hpp"
#include "actors/system/random_program.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::Simulation;
using namespace troupe::test;

namespace {

struct Case {
  std::uint64_t seed = 0;
  bool faults = false;
  bool as_plan = false;  ///< recorded with other tensors and numbers, then replayed
  bool in_file = false;  ///< saved and loaded before that; then there are no host functions
};

constexpr int most_chips = 4;

/// The program as a plan: its parameters are the host's tensors, one on each chip, and a number.
Plan record(const Node& node, const Sample& sample, const std::vector<Tensor>& x) {
  static_assert(buffers + most_chips == 9);
  std::vector<Tensor> all = x;
  while (all.size() < 9) all.push_back(node.tensor<float>({elements}));
  return node.record(
      [&sample](Orchestrator& n, Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g,
                Tensor h, Tensor i, Slot<float> parameter) {
        const std::vector<Tensor> tensors{a, b, c, d, e, f, g, h, i};
        for (const auto& line : sample.lines) submit(n, line, tensors, parameter);
      },
      all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[7], all[8], sample.parameter + 1);
}
void submit(Orchestrator& n, const Plan& plan, std::vector<Tensor> x, float parameter) {
  while (x.size() < 9) x.push_back(n.tensor<float>({elements}));
  actors::detail::PlanCall call;
  for (auto& tensor : x) call.take(tensor);
  call.take(parameter);
  n.submit_gathered(plan, std::move(call));
}

/// A chip that is just being restarted refuses.
void reset(const Node& node, int chip) {
  try {
    node.chip(chip).reset();
  } catch (const Error& error) {
    CHECK(error == Errc::chip_lost);
  }
}

/// Runs one case; returns what went wrong, or nothing.
std::string run_case(const Case& it) {
  std::mt19937_64 random(it.seed);
  auto plan = random_plan(random, it.faults && !it.as_plan);
  for (auto& line : plan.lines) {
    if (it.in_file && line.what == Line::What::host) line.what = Line::What::add;
  }
  const auto want = expected(plan);
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); };
  Handle handle;
  std::vector<Values> got;
  bool hurt = false, hangs = false, cancelled = false, down = false;
  std::size_t left = 0;
  // Outlives the system: a program may still be running while it ends.
  std::vector<Tensor> x;
  {
    Simulation sim({.seed = it.seed + 1,
                    .chips = plan.chips,
                    .credit = static_cast<std::uint32_t>(1 + below(4)),
                    .restart = {100, 1s},
                    .soft_limit = 8,
                    .placement = test::any_policy(it.seed)});
    add_kernels(sim);
    auto& node = sim.node();
    const auto before = sim.actors();
    for (int i = 0; i < buffers; ++i) x.push_back(node.tensor<float>({elements}));
    for (int chip = 0; chip < plan.chips; ++chip) {
      x.push_back(node.chip(chip).malloc<float>({elements}));
      node.chip(chip).copy_to(x.back(), x.front());
    }
    Plan recorded;
    if (it.as_plan) {
      std::vector<Tensor> others;
      for (int i = 0; i < buffers; ++i) others.push_back(node.tensor<float>({elements}));
      for (int chip = 0; chip < plan.chips; ++chip)
        others.push_back(node.chip(chip).malloc<float>({elements}));
      recorded = record(node, plan, others);
      if (it.in_file) {
        const test::TemporaryFolder folder;
        recorded.save(folder / "plan");
        recorded = node.load_plan(folder / "plan");
      }
    }
    if (it.faults) {
      hurt = true;
      const auto where = below(plan.chips);
      const auto when = static_cast<std::uint64_t>(1 + below(6));
      switch (below(5)) {
        case 4:
          sim.fault(testing::hang().on_chip(where).at(when));
          hangs = true;
          break;
        case 0:
          sim.fault(testing::fail().on_chip(where).at(when));
          break;
        case 1:
          sim.fault(testing::kill_chip(where).at(when));
          break;
        case 2:
          sim.fault(testing::delay(1ms).on_chip(where).at(when));
          break;
        default:
          break;
      }
    }
    if (it.as_plan && plan.coroutine) {
      handle = node.submit([&plan, &x, recorded](Orchestrator& n) -> Program {
        submit(n, recorded, x, plan.parameter);
        co_await n.room();
      });
    } else if (it.as_plan) {
      handle =
          node.submit([&plan, &x, recorded](Orchestrator& n) { submit(n, recorded, x, plan.parameter); });
    } else if (plan.coroutine) {
      handle = node.submit([&plan, &x](Orchestrator& n) -> Program {
        int i = 0;
        for (const auto& line : plan.lines) {
          submit(n, line, x, plan.parameter);
          if (++i % 5 == 0) (void)co_await n.read<float>(x[static_cast<std::size_t>(i % buffers)]);
          if (i % 7 == 0) co_await n.fetch(x[static_cast<std::size_t>(i % buffers)]);
          co_await n.room();
        }
      });
    } else {
      handle = node.submit([&plan, &x](Orchestrator& n) {
        for (const auto& line : plan.lines) submit(n, line, x, plan.parameter);
      });
    }
    if (it.faults) {
      sim.steps(static_cast<std::size_t>(below(300)));
      const int blow = below(5);
      if (blow == 0) sim.kill(below(plan.chips));
      // Nothing but a cancel gives up on a kernel that does not return.
      if (blow == 1 || hangs) cancelled = true, handle.cancel();
      if (blow == 3) reset(node, below(plan.chips));
      // Sometimes the system goes down in the middle instead.
      down = blow == 2 && below(4) == 0;
    }
    if (!down) {
      std::size_t steps = 0;
      while (!handle.done() && sim.step()) {
        if (++steps > 200000) return "does not end";
      }
      if (!handle.done()) return "nothing is runnable, but the run has not ended";
      while (sim.steps(1000) > 0) {
      }
      left = sim.actors() - before;
      for (int i = 0; i < buffers; ++i) {
        Values value{};
        const auto lost = test::error_of([&] {
          const auto view = x[static_cast<std::size_t>(i)].host<const float>();
          std::copy(view.begin(), view.end(), value.begin());
        });
        if (lost && !hurt) return "a tensor is lost without a fault: " + render(*lost);
        if (lost && !(*lost == Errc::data_lost)) return "lost in another way: " + render(*lost);
        // What only a chip had that died, or what a writer left that did not end, is nobody's.
        got.push_back(lost && !want.empty() ? want[got.size()] : value);
      }
      auto seen = node.tensor<float>({elements});
      for (int chip = 0; chip < plan.chips; ++chip) {
        const auto& resident = x[static_cast<std::size_t>(buffers + chip)];
        const auto lost = test::error_of([&] { node.chip(chip).copy_from(seen, resident); });
        if (lost && !hurt) return "a tensor on a chip is lost without a fault: " + render(*lost);
        // Where the chip has died since, nothing is left to compare.
        const auto view = seen.host<const float>();
        got.push_back(lost && !want.empty() ? want[got.size()] : Values{view[0], view[1]});
      }
    }
  }
  if (!handle.done()) return "the system is gone, but the handle does not know";
  const auto report = handle.report();
  if (left != 0) return std::to_string(left) + " actors are left";
  if (report.error) {
    if (!hurt) return "failed without a fault: " + render(*report.error);
    if (report.error->code().value == 0) return "an error without a code";
    const bool known = *report.error == Errc::task_failed || *report.error == Errc::chip_lost ||
                       *report.error == Errc::cancelled || *report.error == Errc::shut_down ||
                       *report.error == Errc::data_lost || *report.error == Errc::poisoned ||
                       *report.error == Errc::deadline_exceeded;
    return known ? "" : "an error nobody injected: " + render(*report.error);
  }
  if (down || cancelled) return "";
  if (want.empty() || got == want) return "";
  std::string text = "the result is not that of running the submits one after the other:";
  for (std::size_t i = 0; i < got.size(); ++i)
    text += " " + std::to_string(got[i][0]) + "," + std::to_string(got[i][1]) + "/" +
            std::to_string(want[i][0]) + "," + std::to_string(want[i][1]);
  for (const auto& line : plan.lines) {
    text += "\n  " + std::to_string(static_cast<int>(line.what)) + ": " + std::to_string(line.a) + " " +
            std::to_string(line.b) + " -> " + std::to_string(line.c) + " value " +
            std::to_string(line.value) + " chip " + std::to_string(line.chip) + " retries " +
            std::to_string(line.retries);
  }
  return text;
}

}  // namespace

TEST_CASE("random programs under random interleavings give the sequential result") {
  const auto first = test::first_seed();
  const auto count = test::seeds(5000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto wrong = run_case({seed, false});
    CHECK_MESSAGE(wrong.empty(), wrong, "; replay this one with TROUPE_SEED=", seed);
    if (!wrong.empty()) break;
  }
}

TEST_CASE("random programs recorded with other tensors, and replayed, give the sequential result") {
  const auto first = test::first_seed();
  const auto count = test::seeds(5000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto wrong = run_case({seed, false, true});
    CHECK_MESSAGE(wrong.empty(), wrong, "; replay this one with TROUPE_SEED=", seed);
    if (!wrong.empty()) break;
  }
}

TEST_CASE("random programs recorded, saved, loaded and replayed give the sequential result") {
  const auto first = test::first_seed();
  const auto count = test::seeds(3000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto wrong = run_case({seed, seed % 4 == 0, true, true});
    CHECK_MESSAGE(wrong.empty(), wrong, "; replay this one with TROUPE_SEED=", seed);
    if (!wrong.empty()) break;
  }
}

TEST_CASE("random faults at random moments of a replay end in the sequential result or a typed error") {
  const auto first = test::first_seed();
  const auto count = test::seeds(5000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto wrong = run_case({seed, true, true});
    CHECK_MESSAGE(wrong.empty(), wrong, "; replay this one with TROUPE_SEED=", seed);
    if (!wrong.empty()) break;
  }
}

TEST_CASE(
    "random faults at random moments end in the sequential result or a typed error, and leave nothing") {
  const auto first = test::first_seed();
  const auto count = test::seeds(5000);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto wrong = run_case({seed, true});
    CHECK_MESSAGE(wrong.empty(), wrong, "; replay this one with TROUPE_SEED=", seed);
    if (!wrong.empty()) break;
  }
}
