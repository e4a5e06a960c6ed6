// Arguments of a replay, at random: what is taken gives what the program gives, what lies as the recorded
// ones did is taken, and all else is an error.
#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

constexpr std::uint32_t size = 4;
constexpr std::size_t parameters = 3;

/// Where three tensors lie: in one buffer from these elements on, or (-1) each in a buffer of its own.
using Places = std::array<int, parameters>;

/// Tensors with numbers of their own in each element.
struct Tensors {
  Tensors(const Node& node, const Places& places) {
    constexpr std::uint32_t room = 12;
    shared = node.tensor<float>({room});
    fill(shared, 100);
    for (std::size_t i = 0; i < parameters; ++i) {
      if (places[i] >= 0) {
        const auto begin = static_cast<std::uint64_t>(places[i]);
        all.push_back(shared.rows(begin, begin + size));
      } else {
        all.push_back(node.tensor<float>({size}));
        fill(all.back(), static_cast<float>(i + 1));
      }
    }
  }
  static void fill(const Tensor& tensor, float with) {
    for (auto& element : tensor.host<float>()) element = with++;
  }
  std::vector<float> values() const {
    std::vector<float> found;
    for (const auto* tensor : {&shared, &all[0], &all[1], &all[2]}) {
      for (const auto element : tensor->host<const float>()) found.push_back(element);
    }
    return found;
  }
  Tensor shared;
  std::vector<Tensor> all;
};

struct Line {
  std::size_t from = 0, to = 0;
  bool overwrites = false;
};

struct Steps {
  std::vector<Line> lines;
  void operator()(Orchestrator& node, Tensor a, Tensor b, Tensor c) const {
    const std::array<Tensor, parameters> x{a, b, c};
    for (const auto& line : lines) {
      if (line.overwrites) {
        node.submit("set", out(x[line.to]), scalar(7.0f));
      } else if (line.from == line.to) {
        node.submit("step", inout(x[line.to]));
      } else {
        node.submit("take", in(x[line.from]), inout(x[line.to]));
      }
    }
  }
};

/// As the recorded ones lie to each other.
bool same(const Places& a, const Places& b) {
  for (std::size_t i = 0; i < parameters; ++i) {
    if ((a[i] < 0) != (b[i] < 0)) return false;
    for (std::size_t k = 0; k < i; ++k) {
      if (a[i] >= 0 && a[k] >= 0 && a[i] - a[k] != b[i] - b[k]) return false;
    }
  }
  return true;
}

Simulation& with_kernels(Simulation& sim) {
  sim.kernel("set", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element = call.template scalar<float>(0);
  });
  sim.kernel("step", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element += 1;
  });
  // What it takes may lie in what it changes: the last element says what it was before.
  sim.kernel("take", [](auto& call) {
    const auto from = call.template tensor<float>(0), to = call.template tensor<float>(1);
    const float last = from[from.size() - 1];
    for (auto& element : to) element += last;
  });
  return sim;
}

std::string wrong(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); };
  const auto places = [&] {
    Places made{};
    for (auto& place : made) place = below(3) == 0 ? -1 : below(9);
    return made;
  };
  Steps program;
  for (int i = 2 + below(6); i > 0; --i)
    program.lines.push_back({random() % parameters, random() % parameters, below(3) == 0});
  Simulation sim({.seed = seed + 1, .chips = 1 + below(2)});
  auto& node = with_kernels(sim).node();
  const auto recorded = places();
  const Tensors first(node, recorded);
  const auto plan = node.record(program, first.all[0], first.all[1], first.all[2]);
  for (int i = 0; i < 4; ++i) {
    auto given = i == 0 ? recorded : places();
    if (i == 1) {  // the same, elsewhere
      for (auto& place : given) place = -1;
      for (std::size_t k = 0; k < parameters; ++k) given[k] = recorded[k] < 0 ? -1 : (recorded[k] + 1) % 9;
    }
    const Tensors fresh(node, given), replayed(node, given);
    const auto text = " recorded at " + std::to_string(recorded[0]) + "," + std::to_string(recorded[1]) +
                      "," + std::to_string(recorded[2]) + ", given " + std::to_string(given[0]) + "," +
                      std::to_string(given[1]) + "," + std::to_string(given[2]);
    const auto before = replayed.values();
    const auto error = error_of([&] { node.run(plan, replayed.all[0], replayed.all[1], replayed.all[2]); });
    if (error) {
      if (!(*error == Errc::bad_argument)) return "another error: " + render(*error) + text;
      if (same(recorded, given)) return "refused what lies the same: " + render(*error) + text;
      if (replayed.values() != before) return "refused, and something ran:" + text;
      continue;
    }
    node.run(program, fresh.all[0], fresh.all[1], fresh.all[2]);
    if (fresh.values() != replayed.values()) return "taken, and not what the program does:" + text;
  }
  return "";
}

}  // namespace

TEST_CASE("random arguments that share bytes are refused, or give what the program gives") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(1000); ++seed) {
    const auto found = wrong(seed);
    CHECK_MESSAGE(found.empty(), found, "; replay this one with TROUPE_SEED=", seed);
    if (!found.empty()) break;
  }
}

TEST_CASE("random arguments of another shape, layout or type are refused, and nothing runs") {
  std::mt19937_64 random(test::first_seed());
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  const auto given = [&](const Tensor& like) -> Tensor {
    const auto wide = node.tensor<float>({size, size});
    switch (random() % 6) {
      case 0:
        return node.tensor<float>({size + 1 + random() % 9});
      case 1:
        return node.tensor<float>({size, 1});
      case 2:
        return node.tensor<std::int32_t>({size});
      case 3:
        return wide.slice(1, 0, 1).reshape({size});  // with steps
      case 4:
        return like.rows(0, 1 + random() % (size - 1));
      default:
        return node.tensor<double>({size});
    }
  };
  const Tensors some(node, {-1, -1, -1});
  const Steps program{{{0, 1, false}, {1, 2, false}}};
  const auto plan = node.record(program, some.all[0], some.all[1], some.all[2]);
  const auto ran = sim.ran().size();
  for (std::uint64_t i = 0; i < test::cases(200); ++i) {
    auto arguments = some.all;
    const auto which = random() % parameters;
    arguments[which] = given(some.all[which]);
    CAPTURE(i);
    CHECK(error_of([&] { node.run(plan, arguments[0], arguments[1], arguments[2]); }) == Errc::bad_argument);
  }
  CHECK(sim.ran().size() == ran);
}

TEST_CASE("tensors that died with their chip are errors of a replay, given or kept") {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    Simulation sim({.seed = seed, .chips = 1});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 1);
    auto given = node.chip(0).malloc<float>({size}), kept = node.chip(0).malloc<float>({size});
    for (const auto& tensor : {given, kept}) node.chip(0).copy_to(tensor, x);
    const auto takes =
        node.record([](Orchestrator& n, Tensor a, Tensor b) { n.submit("take", in(a), inout(b)); }, given, x);
    const auto keeps =
        node.record([kept](Orchestrator& n, Tensor b) { n.submit("take", in(kept), inout(b)); }, x);
    CHECK(x.host<const float>()[0] == 3);
    node.chip(0).reset();
    CHECK(error_of([&] { node.run(takes, given, x); })->root() == Errc::data_lost);
    CHECK(error_of([&] { node.run(keeps, x); })->root() == Errc::data_lost);
    // The plan itself is as good as before.
    auto again = node.chip(0).malloc<float>({size});
    node.chip(0).copy_to(again, node.tensor<float>({size}, 5));
    auto y = node.tensor<float>({size}, 1);
    node.run(takes, again, y);
    CHECK(y.host<const float>()[0] == 6);
  }
}
