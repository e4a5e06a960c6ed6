// Random programs under random interleavings, with faults: whatever happens, a run ends in bounded steps,
// with the sequential result or a typed error that a fault explains, and nothing is left behind.
#include <doctest/doctest.h>

#include <array>
#include <random>
#include <set>

#include "actors/placement/any_policy.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::Simulation;

namespace {

constexpr int buffers = 5;
constexpr std::uint32_t elements = 2;  ///< of each: tasks see one of them, or both
using Values = std::array<float, elements>;

struct Line {
  enum class What {
    add,
    set,
    group,
    host,
    scratch,
    from_device,
    to_device,
    part,
    fill,
    copy,
    copy_device,
    prefetch,
    pin,
    evict
  } what = What::add;
  int a = 0, b = 0, c = 0;
  float value = 0;
  int chip = -1;
  unsigned retries = 0;
  int resident = 0;                                                     ///< the chip whose tensor is meant
  std::chrono::nanoseconds deadline = std::chrono::nanoseconds::max();  ///< of a host function
  bool slot = false;  ///< its value is the program's parameter

  int home() const { return buffers + resident; }
};

struct Sample {
  std::vector<Line> lines;
  int chips = 1;
  bool coroutine = false;
  float parameter = 0;
};

/// `late`: some host functions have deadlines that may pass before they are done.
Sample random_plan(std::mt19937_64& random, bool late) {
  Sample plan;
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); };
  plan.chips = 1 + below(4);
  plan.coroutine = below(2) == 0;
  plan.parameter = static_cast<float>(below(100));
  const int count = 3 + below(25);
  for (int i = 0; i < count; ++i) {
    Line line;
    line.what = static_cast<Line::What>(below(14));
    if (line.what == Line::What::group && plan.chips < 2) line.what = Line::What::add;
    line.a = below(buffers);
    line.b = below(buffers);
    line.c = below(buffers);
    line.value = static_cast<float>(below(100));
    line.slot = below(3) == 0;
    if (line.slot) line.value = plan.parameter;
    line.chip = below(3) == 0 ? below(plan.chips) : -1;
    line.retries = below(3) == 0 ? 2U : 0U;
    line.resident = below(plan.chips);
    if (below(3) == 0) line.deadline = late && below(8) == 0 ? 1ns : 1h;
    plan.lines.push_back(line);
  }
  return plan;
}

/// What the host's tensors hold at the end, and behind them those that live on the chips, one on each.
std::vector<Values> expected(const Sample& plan) {
  std::vector<Values> x(static_cast<std::size_t>(buffers + plan.chips), Values{});
  auto at = [&](int i) -> Values& { return x[static_cast<std::size_t>(i)]; };
  const auto all = [](float value) {
    Values values;
    values.fill(value);
    return values;
  };
  const auto sum = [](const Values& a, const Values& b) {
    Values values{};
    for (std::size_t i = 0; i < elements; ++i) values[i] = a[i] + b[i];
    return values;
  };
  for (const auto& line : plan.lines) {
    switch (line.what) {
      case Line::What::add:
        at(line.c) = sum(at(line.a), at(line.b));
        break;
      case Line::What::set:
      case Line::What::fill:
        at(line.c) = all(line.value);
        break;
      case Line::What::group:
        if (line.a != line.c) at(line.a) = all(line.value);
        at(line.c) = all(line.value);
        break;
      case Line::What::host:
        at(line.c)[0] += line.value;
        break;
      case Line::What::scratch:
        at(line.c) = sum(sum(at(line.a), at(line.b)), all(line.value));
        break;
      case Line::What::from_device:
        at(line.c) = sum(at(line.a), at(line.home()));
        break;
      case Line::What::to_device:
        at(line.home()) = sum(at(line.a), at(line.b));
        break;
      case Line::What::part:
        at(line.c)[static_cast<std::size_t>(line.b) % elements] = line.value;
        break;
      case Line::What::copy:
        at(line.c) = at(line.a);
        break;
      case Line::What::copy_device:
        (line.b % 2 == 0 ? at(line.c) : at(line.home())) = line.b % 2 == 0 ? at(line.home()) : at(line.c);
        break;
      case Line::What::prefetch:
      case Line::What::pin:
      case Line::What::evict:
        break;
    }
    // Keeps numbers small enough to be exact.
    for (const auto& values : x) {
      for (const auto value : values) {
        if (value > 100000) return {};
      }
    }
  }
  return x;
}

void submit(Orchestrator& n, const Line& line, const std::vector<Tensor>& x, Slot<float> parameter) {
  const auto value = line.slot ? scalar(parameter) : scalar(Slot<float>(line.value));
  auto at = [&](int i) -> const Tensor& { return x[static_cast<std::size_t>(i)]; };
  const auto submit = [&](int chip, auto&&... what) {
    if (chip < 0) {
      n.submit(std::forward<decltype(what)>(what)...);
    } else {
      n.submit(std::forward<decltype(what)>(what)..., on_chip(chip));
    }
  };
  switch (line.what) {
    case Line::What::add: {
      // An argument that is read and written is one inout, or the same as in and out: both are fine here.
      submit(line.chip, "add", in(at(line.a)), in(at(line.b)), out_existing(at(line.c)),
             retry(line.a == line.c || line.b == line.c ? 0U : line.retries));
      break;
    }
    case Line::What::set:
      submit(line.chip, "set", out_existing(at(line.c)), value, retry(line.retries));
      break;
    case Line::What::group: {
      std::vector<Args> members;
      members.push_back(args(out_existing(at(line.c)), value));
      if (line.a != line.c) members.push_back(args(out_existing(at(line.a)), value));
      n.submit_group("set", members);
      break;
    }
    case Line::What::host:
      n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += args.scalar<float>(0); },
                   inout(at(line.c)), value, deadline(line.deadline));
      break;
    case Line::What::scratch: {
      auto scope = n.scope();
      auto sum = n.alloc<float>({elements});
      auto more = n.alloc<float>({elements});
      n.submit("add", in(at(line.a)), in(at(line.b)), out(sum));
      n.submit("set", out(more), value);
      submit(line.chip, "add", in(sum), in(more), out_existing(at(line.c)));
      break;
    }
    // A tensor on a chip decides where its task runs, said or not, whatever lies where the task's producers
    // have been sent.
    case Line::What::from_device:
      submit(line.chip < 0 ? -1 : line.resident, "add", in(at(line.a)), in(at(line.home())),
             out_existing(at(line.c)));
      break;
    case Line::What::to_device:
      submit(line.chip < 0 ? -1 : line.resident, "add", in(at(line.a)), in(at(line.b)),
             out_existing(at(line.home())));
      break;
    case Line::What::part: {
      const auto begin = static_cast<std::uint64_t>(line.b) % elements;
      submit(line.chip, "set", out_existing(at(line.c).rows(begin, begin + 1)), value, retry(line.retries));
      break;
    }
    case Line::What::fill:
      n.fill(at(line.c), line.value);
      break;
    case Line::What::copy:
      if (line.a != line.c) n.copy(at(line.c), at(line.a));
      break;
    case Line::What::copy_device:
      line.b % 2 == 0 ? n.copy(at(line.c), at(line.home())) : n.copy(at(line.home()), at(line.c));
      break;
    case Line::What::prefetch:
      n.prefetch(at(line.a), on_chip(std::max(line.chip, 0)));
      break;
    case Line::What::pin:
      n.pin(at(line.a), on_chip(std::max(line.chip, 0)));
      break;
    case Line::What::evict:
      n.evict(at(line.a));
      break;
  }
}

struct Case {
  std::uint64_t seed = 0;
  bool faults = false;
  bool as_plan = false;  ///< recorded with other tensors and numbers, then replayed
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
  const auto plan = random_plan(random, it.faults && !it.as_plan);
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
    sim.kernel("add", [](auto& call) {
      const auto to = call.template tensor<float>(2);
      for (std::size_t i = 0; i < to.size(); ++i)
        to[i] = call.template tensor<float>(0)[i] + call.template tensor<float>(1)[i];
    });
    sim.kernel("set", [](auto& call) {
      for (auto& element : call.template tensor<float>(0)) element = call.template scalar<float>(0);
    });
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
