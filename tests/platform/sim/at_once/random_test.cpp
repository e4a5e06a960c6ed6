// Random programs of short kernels that never wait: some of their tasks run inside their submits beside
// helpers, some lie on trays, some are quick. Whoever runs what, the memory is as after one after the other.
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../fixture.hpp"
#include "support/random.hpp"
#include "troupe/runtime/kernel.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::KernelArgs;

namespace {

constexpr std::uint32_t places = 96;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t turns = 100;
#else
constexpr std::uint32_t turns = 1'200;  // about two microseconds
#endif

/// The work of a task: `turns` of it depend on each other.
void stir(std::span<std::uint64_t> to, std::span<const std::uint64_t> from, std::uint64_t number,
          std::uint32_t rounds, bool overwrites) {
  std::uint64_t sum = number;
  for (const std::uint64_t value : from) sum = sum * 5 + value;
  for (std::uint32_t i = 0; i < rounds; ++i) sum = sum * 6364136223846793005ull + 1442695040888963407ull;
  for (std::uint64_t& value : to) value = (overwrites ? 0 : value * 3) + sum;
}

struct Step {
  std::uint32_t from, from_count, to, to_count;
  bool overwrites, is_short;
};

/// Distinct places at first, then a few that all want, ranges that overlap, and everything together.
std::vector<Step> random_steps(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t limit) { return static_cast<std::uint32_t>(random() % limit); };
  std::vector<Step> steps;
  const std::uint32_t phases = 2 + below(4);
  for (std::uint32_t phase = 0; phase < phases; ++phase) {
    const std::uint32_t reach = below(3) == 0 ? 4 : places - 4, longest = below(2) == 0 ? 1 : 4;
    const std::uint32_t short_of_8 = below(9);
    for (std::uint32_t i = 0, count = 50 + below(400); i < count; ++i) {
      steps.push_back({below(reach), below(longest + 1), below(reach), 1 + below(longest), below(2) == 0,
                       below(8) < short_of_8});
    }
  }
  return steps;
}

}  // namespace

TROUPE_KERNEL(stirs)(KernelArgs& k) {
  const auto to = k.tensor<std::uint64_t>(0);
  std::span<const std::uint64_t> from;
  if (k.tensor_count() > 1) from = {k.tensor<std::uint64_t>(1).data(), k.tensor<std::uint64_t>(1).size()};
  stir({to.data(), to.size()}, from, k.scalar<std::uint64_t>(0), turns, k.scalar<std::int32_t>(1) != 0);
}
TROUPE_KERNEL(stirs_briefly)(KernelArgs& k) {
  const auto to = k.tensor<std::uint64_t>(0);
  std::span<const std::uint64_t> from;
  if (k.tensor_count() > 1) from = {k.tensor<std::uint64_t>(1).data(), k.tensor<std::uint64_t>(1).size()};
  stir({to.data(), to.size()}, from, k.scalar<std::uint64_t>(0), 1, k.scalar<std::int32_t>(1) != 0);
}

TROUPE_CHIP_PROGRAM(random_short)(ChipOrchestrator& chip, ChipArgs args) {
  const auto& steps = *args.scalar<const std::vector<Step>*>(0);
  const Tensor all = args.tensor(0);
  std::uint64_t number = 0;
  for (const Step& step : steps) {
    const char* kernel = step.is_short ? "stirs" : "stirs_briefly";
    const Tensor to = all.slice(0, step.to, step.to + step.to_count);
    const auto how = step.overwrites ? out(to) : inout(to);
    const auto flag = scalar(std::int32_t{step.overwrites});
    if (step.from_count == 0) {
      chip.aiv(kernel, how, scalar(number), flag);
    } else {
      chip.aiv(kernel, how, in(all.slice(0, step.from, step.from + step.from_count)), scalar(number), flag);
    }
    if (++number % 300 == 0) (void)chip.get<std::uint64_t>(all, step.to);
  }
}

TEST_CASE("random programs of short kernels leave the memory as one after the other") {
  const std::uint64_t first = first_seed(), count = seeds(30);
  for (const char* workers : {"2", "4"}) {
    Chip chip(platforms[0], {{"checked", "0"}, {"workers", workers}});
    const auto program = chip.add("random_short");
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
      CAPTURE(seed);
      CAPTURE(std::string(workers));
      const auto steps = random_steps(seed);
      std::vector<std::uint64_t> values(places, seed), expected(places, seed);
      std::uint64_t number = 0;
      for (const Step& step : steps) {
        const std::vector<std::uint64_t> from(expected.begin() + step.from,
                                              expected.begin() + step.from + step.from_count);
        stir({expected.data() + step.to, step.to_count}, from, number++, step.is_short ? turns : 1,
             step.overwrites);
      }
      const auto* where = &steps;
      const auto done =
          chip.run(program, RunArgs::of(inout(Tensor::host(values.data(), {places})), scalar(where)));
      REQUIRE(done);
      CHECK(done->chip_tasks == steps.size());
      CHECK(values == expected);
    }
  }
}
