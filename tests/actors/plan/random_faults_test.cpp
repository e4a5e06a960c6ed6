// Random programs as plans, replayed with other slots while tasks fail, chips die and runs are cancelled:
// what a replay that ends well leaves is what the program leaves; one that does not says so, and the next is
// right.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "actors/plan/random_program.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::Step;
using test::Stretch;
using test::width;
using testing::Simulation;

namespace {

/// Three tensors, some of them parts of one memory, as `Aliases` says.
struct Slots {
  enum Aliases { apart, same, shifted };
  std::vector<std::int64_t> model;
  std::array<Tensor, 3> tensors;
  std::array<std::uint32_t, 3> begin{};

  Slots(const Node& node, Aliases aliases, std::mt19937_64& numbers) : model(3 * width) {
    begin = aliases == apart  ? std::array<std::uint32_t, 3>{0, width, 2 * width}
            : aliases == same ? std::array<std::uint32_t, 3>{0, width, 0}
                              : std::array<std::uint32_t, 3>{0, width, width + width / 2};
    for (auto& number : model) number = static_cast<std::int64_t>(numbers() % 1000);
    const auto whole = node.tensor<std::int64_t>({3 * width});
    for (std::size_t which = 0; which < 3; ++which) {
      tensors[which] = aliases == apart ? node.tensor<std::int64_t>({width})
                                        : whole.rows(begin[which], begin[which] + width);
      auto view = tensors[which].host<std::int64_t>();
      for (std::size_t i = 0; i < width; ++i) view[i] = model[begin[which] + i];
    }
  }
  const Tensor& tensor(std::size_t which) const { return tensors[which]; }
  void run(const std::vector<Step>& steps, std::int64_t slot) {
    const auto part = [&](std::size_t which) { return Stretch{model.data() + begin[which]}; };
    test::run_on_host(steps, part(0), part(1), part(2), slot);
  }
  bool holds() const {
    for (std::size_t which = 0; which < 3; ++which) {
      const auto view = tensors[which].host<const std::int64_t>();
      for (std::size_t i = 0; i < width; ++i) {
        if (view[i] != model[begin[which] + i]) return false;
      }
    }
    return true;
  }
};

constexpr std::uint64_t task_takes = 100;  ///< nanoseconds

Simulation& with_plan_kernels(Simulation& sim) {
  sim.kernel("plan_mix", [](auto& call) {
    call.takes(task_takes);
    test::mix(call.template tensor<const std::int64_t>(0).span(),
              call.template tensor<const std::int64_t>(1).span(),
              call.template tensor<std::int64_t>(2).span(), call.template scalar<std::int64_t>(0));
  });
  sim.kernel("plan_write", [](auto& call) {
    call.takes(task_takes);
    test::write(call.template tensor<const std::int64_t>(0).span(),
                call.template tensor<std::int64_t>(1).span(), call.template scalar<std::int64_t>(0));
  });
  return sim;
}

struct Count {
  std::uint64_t right = 0, failed = 0, lost = 0, cancelled = 0, refused = 0, recovered = 0;
};

class Case {
 public:
  Case(std::uint64_t seed, Count& count)
      : numbers_(seed),
        count_(count),
        chips_(1 + static_cast<int>(below(3))),
        sim_({.seed = seed,
              .chips = static_cast<actors::Count>(chips_),
              .credit = static_cast<actors::Count>(1 + below(5)),
              .restart = {.restarts = 100}}),
        node_(with_plan_kernels(sim_).node()),
        aliases_(static_cast<Slots::Aliases>(below(3))),
        steps_(test::random_steps(seed, chips_)) {}

  void run() {
    INFO(sim_.replay());
    CAPTURE(chips_);
    CAPTURE(static_cast<int>(aliases_));
    const auto program = [steps = steps_](Orchestrator& n, Tensor x, Tensor y, Tensor z,
                                          Slot<std::int64_t> r) { submit_all(n, steps, x, y, z, r); };
    Slots first(node_, aliases_, numbers_);
    auto number = static_cast<std::int64_t>(below(1000));
    plan_ = node_.record(program, first.tensor(0), first.tensor(1), first.tensor(2), number);
    first.run(steps_, number);
    REQUIRE(first.holds());
    for (int round = 0; round < 5; ++round) replay();
    check_refusals();
    // Faults that were asked for and did not come may come now: not more often than there are of them.
    for (int attempt = 0;; ++attempt) {
      REQUIRE(attempt <= 6);
      if (plainly()) break;
    }
  }

 private:
  std::uint64_t below(std::uint64_t end) { return numbers_() % end; }

  /// One replay, disturbed in one way or in none.
  void replay() {
    const auto kernels = plan_.tasks() + 1;
    const auto how = below(6);
    CAPTURE(how);
    switch (how) {
      case 0:
        sim_.fault(testing::fail().at(1 + below(kernels)));
        plainly();
        break;
      case 1:
        sim_.fault(testing::kill_chip(static_cast<int>(below(static_cast<std::uint64_t>(chips_))))
                       .at(1 + below(kernels)));
        plainly();
        break;
      case 2:
        sim_.fault(testing::kill_chip(static_cast<int>(below(static_cast<std::uint64_t>(chips_))))
                       .at(1 + below(kernels)));
        again();
        break;
      case 3:
        broken_off(true);
        break;
      case 4:
        broken_off(false);
        break;
      default:
        plainly();
        break;
    }
  }

  /// How a replay has ended; true: well.
  bool check(Slots& slots, std::int64_t number, const std::optional<Error>& error) {
    if (!error) {
      slots.run(steps_, number);
      // A chip that goes afterwards may take the bytes along that nobody has asked for.
      bool holds = false;
      const auto gone = test::error_of([&] { holds = slots.holds(); });
      if (gone) REQUIRE(*gone == Errc::data_lost);
      if (!gone) REQUIRE(holds);
      ++(gone ? count_.lost : count_.right);
      return !gone;
    }
    CAPTURE(render(*error));
    const bool known = *error == Errc::task_failed || *error == Errc::chip_lost ||
                       *error == Errc::data_lost || *error == Errc::cancelled;
    REQUIRE(known);
    if (*error == Errc::task_failed) ++count_.failed;
    if (*error == Errc::chip_lost || *error == Errc::data_lost) ++count_.lost;
    if (*error == Errc::cancelled) ++count_.cancelled;
    return false;
  }

  bool plainly() {
    Slots slots(node_, aliases_, numbers_);
    const auto number = static_cast<std::int64_t>(below(1000));
    const auto error =
        test::error_of([&] { node_.run(plan_, slots.tensor(0), slots.tensor(1), slots.tensor(2), number); });
    return check(slots, number, error);
  }

  /// Steps may be tried again. What reads and writes the same is not idempotent, so whether it is right then
  /// is nobody's promise; that it ends is.
  void again() {
    Slots slots(node_, aliases_, numbers_);
    const auto number = static_cast<std::int64_t>(below(1000));
    const auto before = sim_.ran().size();
    const auto error = test::error_of([&] {
      node_.run([&](Orchestrator& n) {
        n.submit(plan_, slots.tensor(0), slots.tensor(1), slots.tensor(2), number, retry(8), idempotent);
      });
    });
    const auto parameters = plan_.parameters();
    const bool idempotent =
        aliases_ == Slots::apart && std::none_of(parameters.begin(), parameters.end(),
                                                 [](const auto& it) { return it.reads && it.writes; });
    if (error || idempotent) check(slots, number, error);
    const auto ran = sim_.ran();
    const bool died = std::any_of(ran.begin() + static_cast<std::ptrdiff_t>(before), ran.end(),
                                  [](const auto& it) { return it.code == TROUPE_DEVICE_LOST; });
    if (!error && died) ++count_.recovered;
  }

  /// Cancelled somewhere in the middle, or a chip's actor killed.
  void broken_off(bool cancel) {
    Slots slots(node_, aliases_, numbers_);
    const auto number = static_cast<std::int64_t>(below(1000));
    auto run = node_.submit(plan_, slots.tensor(0), slots.tensor(1), slots.tensor(2), number);
    sim_.steps(below(5));
    const auto most = task_takes * (1 + below(plan_.tasks()));
    if (below(2) != 0) sim_.advance(std::chrono::nanoseconds(below(most)));
    if (cancel) {
      run.cancel();
    } else {
      sim_.kill(static_cast<int>(below(static_cast<std::uint64_t>(chips_))));
    }
    const auto result = run.result();
    check(slots, number, result ? std::nullopt : std::optional(result.error()));
  }

  /// Slots that lie to each other in another way than those of the recording, and one that is too short.
  void check_refusals() {
    Slots slots(node_, aliases_, numbers_);
    const auto refused = [&](const Tensor& x, const Tensor& y, const Tensor& z) {
      const auto before = sim_.ran().size();
      const auto error = test::error_of([&] { node_.run(plan_, x, y, z, std::int64_t{1}); });
      REQUIRE(error == Errc::bad_argument);
      REQUIRE(sim_.ran().size() == before);
      ++count_.refused;
    };
    const auto parameters = plan_.parameters();
    const bool matters = parameters[0].writes || parameters[2].writes;
    const auto other = aliases_ == Slots::same ? Slots::apart : Slots::same;
    Slots others(node_, other, numbers_);
    if (matters) refused(others.tensor(0), others.tensor(1), others.tensor(2));
    refused(slots.tensor(0).rows(0, width - 1), slots.tensor(1), slots.tensor(2));
    // Nobody has touched them.
    REQUIRE(slots.holds());
  }

  std::mt19937_64 numbers_;
  Count& count_;
  int chips_;
  Simulation sim_;
  Node& node_;
  const Slots::Aliases aliases_;
  const std::vector<Step> steps_;
  Plan plan_;
};

}  // namespace

TEST_CASE("random plans whose chips die, tasks fail and runs are cancelled: right, or an error, then right") {
  const auto first = test::first_seed();
  const auto count = test::seeds(100);
  Count seen;
  for (auto seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    Case(seed, seen).run();
  }
  MESSAGE(count, " programs: ", seen.right, " replays right, ", seen.failed, " failed, ", seen.lost,
          " lost their chip, ", seen.recovered, " were tried again, ", seen.cancelled, " were cancelled, ",
          seen.refused, " were refused");
  if (count < 100) return;
  // All of it has happened.
  CHECK(seen.right > count);
  for (const auto some : {seen.failed, seen.lost, seen.recovered, seen.cancelled, seen.refused})
    CHECK(some > count / 20);
}
