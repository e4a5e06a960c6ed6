// Random programs over ranges of a few vectors, on one to three scripted chips and a host function, in one
// order of events for each seed: afterwards the vectors are what the same operations leave one after the
// other.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "actors/placement/any_policy.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

namespace {

constexpr std::uint64_t length = 24;
constexpr std::size_t vectors = 2;
constexpr int most_chips = 3;

struct Range {
  std::size_t vector = 0;
  std::uint64_t first = 0, count = 1;

  Tensor of(const std::vector<Tensor>& all) const { return all[vector].rows(first, first + count); }
  std::string text() const {
    return "v" + std::to_string(vector) + "[" + std::to_string(first) + ":" + std::to_string(first + count) +
           "]";
  }
};

struct Operation {
  enum class Kind : std::uint8_t { scale, fold, copy, fill, move, function } kind = Kind::scale;
  Range from, to;
  int chip = -1;  ///< -1: any

  std::string text() const {
    constexpr const char* names[] = {"scale", "fold", "copy", "fill", "move", "function"};
    return std::string(names[static_cast<std::size_t>(kind)]) + " " + from.text() + " -> " + to.text() +
           " on " + std::to_string(chip) + "\n";
  }
};

class Programs {
 public:
  explicit Programs(std::uint64_t seed) : random_(seed), chips_(1 + static_cast<int>(below(most_chips))) {}

  int chips() const { return chips_; }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  Range range() {
    Range made;
    made.vector = below(vectors);
    if (below(5) == 0) {
      made.count = length;
    } else if (below(4) != 0) {
      made.count = std::uint64_t{1} << (1 + below(3));
      made.first = below(length / made.count) * made.count;
    } else {
      made.count = 1 + below(length);
      made.first = below(length - made.count + 1);
    }
    return made;
  }
  Operation operation() {
    Operation made;
    made.kind = static_cast<Operation::Kind>(below(6));
    made.to = range();
    made.from = made.to;
    made.from.first = below(length - made.from.count + 1);
    if (below(2) == 0) made.from.first = made.from.first / made.from.count * made.from.count;
    // Sometimes another part of the same vector.
    const bool apart = made.from.first + made.from.count <= made.to.first ||
                       made.to.first + made.to.count <= made.from.first;
    if (!apart || below(3) != 0) made.from.vector = (made.to.vector + 1) % vectors;
    made.chip = static_cast<int>(below(static_cast<std::uint64_t>(chips_) + 1)) - 1;
    return made;
  }

 private:
  std::mt19937_64 random_;
  int chips_;
};

std::int64_t scaled(std::int64_t x) { return x * 3 + 1; }

void add_kernels(Simulation& sim) {
  sim.kernel("scale", [](auto& call) {
    for (auto& element : call.template tensor<std::int64_t>(0)) element = scaled(element);
  });
  sim.kernel("fold", [](auto& call) {
    const auto from = call.template tensor<std::int64_t>(0), to = call.template tensor<std::int64_t>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = to[i] * 5 + from[i];
  });
  sim.kernel("copy", [](auto& call) {
    const auto from = call.template tensor<std::int64_t>(0), to = call.template tensor<std::int64_t>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] + 7;
  });
}

void submit(Orchestrator& n, const std::vector<Tensor>& all, const Operation& what) {
  const auto to = what.to.of(all), from = what.from.of(all);
  const auto task = [&](const char* name, auto... uses) {
    what.chip < 0 ? n.submit(name, uses...) : n.submit(name, uses..., on_chip(what.chip));
  };
  switch (what.kind) {
    case Operation::Kind::scale:
      return task("scale", inout(to));
    case Operation::Kind::fold:
      return task("fold", in(from), inout(to));
    case Operation::Kind::copy:
      return task("copy", in(from), out(to));
    case Operation::Kind::fill:
      n.fill(to, std::int64_t{9});
      return;
    case Operation::Kind::move:
      n.copy(to, from);
      return;
    case Operation::Kind::function:
      n.submit_sub(
          [](HostArgs& args) {
            for (auto& element : args.tensor<std::int64_t>(0)) element = scaled(element);
          },
          inout(to));
      return;
  }
}

void apply(std::vector<std::vector<std::int64_t>>& all, const Operation& what) {
  for (std::uint64_t i = 0; i < what.to.count; ++i) {
    const auto from = all[what.from.vector][what.from.first + i];
    auto& to = all[what.to.vector][what.to.first + i];
    const std::int64_t results[] = {scaled(to), to * 5 + from, from + 7, 9, from, scaled(to)};
    to = results[static_cast<std::size_t>(what.kind)];
  }
}

}  // namespace

TEST_CASE("ranges of vectors hold what the operations leave one after the other, in any order of events") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(300); ++seed) {
    CAPTURE(seed);
    Programs programs(seed);
    CAPTURE(programs.chips());
    Simulation sim({.seed = seed,
                    .chips = static_cast<actors::Count>(programs.chips()),
                    .placement = test::any_policy(seed)});
    add_kernels(sim);
    std::vector<Tensor> all;
    std::vector<std::vector<std::int64_t>> expected;
    for (std::size_t i = 0; i < vectors; ++i) {
      all.push_back(sim.node().tensor<std::int64_t>({length}, static_cast<std::int64_t>(i)));
      expected.emplace_back(length, i);
    }
    std::string program;
    for (int run = 0; run < 2; ++run) {
      std::vector<Operation> operations;
      for (std::uint64_t i = 0; i < 8 + programs.below(16); ++i) operations.push_back(programs.operation());
      sim.node().run([&](Orchestrator& n) {
        for (const auto& what : operations) submit(n, all, what);
      });
      for (const auto& what : operations) {
        apply(expected, what);
        program += what.text();
      }
    }
    CAPTURE(program);
    for (std::size_t i = 0; i < vectors; ++i) {
      const auto seen = all[i].host<const std::int64_t>();
      REQUIRE(std::vector<std::int64_t>(seen.begin(), seen.end()) == expected[i]);
    }
  }
}
