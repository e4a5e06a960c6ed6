// Random chip programs, submitted each time and as graphs whose slots change: the same memory.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <random>

#include "platform/sim/fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::Compare;
using runtime::KernelArgs;

namespace {

constexpr std::uint32_t width = 12;

/// One task: what it does to views of cells, which are given or made by the program.
struct Step {
  enum Kind { mix, overwrite, make, store, nothing, blocks, cluster, scope } kind = mix;
  std::uint32_t reads[2] = {0, 0}, write = 0;
  std::uint32_t read_begin = 0, write_begin = 0, length = 1;
  std::int64_t number = 0;
  bool is_slot = false, has_predicate = false, is_strided = false;
  std::uint32_t flag = 0;
};
struct Spec {
  std::uint32_t given = 1;
  std::vector<Step> steps;
  bool kept = false;
  std::uint64_t seed = 0;
};

Spec random_spec(std::uint64_t seed) {
  std::mt19937_64 numbers(seed);
  const auto below = [&](std::uint64_t end) { return static_cast<std::uint32_t>(numbers() % end); };
  Spec spec;
  spec.seed = seed;
  spec.given = 1 + below(4);
  std::uint32_t cells = spec.given;
  const std::uint32_t count = 1 + below(60);
  for (std::uint32_t i = 0; i < count; ++i) {
    Step step;
    const std::uint32_t dice = below(20);
    step.kind = dice < 8    ? Step::mix
                : dice < 11 ? Step::overwrite
                : dice < 14 ? Step::make
                : dice < 15 ? Step::store
                : dice < 16 ? Step::nothing
                : dice < 17 ? Step::blocks
                : dice < 18 ? Step::cluster
                            : Step::scope;
    step.reads[0] = below(cells);
    step.reads[1] = below(cells);
    step.write = below(cells);
    step.length = 1 + below(width);
    step.read_begin = below(width - step.length + 1);
    step.write_begin = below(width - step.length + 1);
    step.number = static_cast<std::int64_t>(below(1000));
    step.is_slot = below(2) == 0;
    step.has_predicate = below(4) == 0;
    step.is_strided = below(4) == 0;
    step.flag = below(cells);
    if (step.kind == Step::make) ++cells;
    spec.steps.push_back(step);
  }
  return spec;
}

void submit_all(ChipOrchestrator& chip, const Spec& spec, std::vector<Tensor> cells,
                const GraphScalar& slot) {
  std::vector<ChipScope> scopes;
  for (const auto& step : spec.steps) {
    const auto view = [&](std::uint32_t cell, std::uint32_t begin, std::uint32_t length) {
      const auto& tensor = cells[cell];
      if (!step.is_strided) return tensor.slice(0, begin, begin + length);
      const auto all = static_cast<std::uint64_t>(length + 1) / 2;
      return Tensor::create_strided(tensor.buffer(), tensor.buffer_bytes(), tensor.byte_offset() + begin * 8,
                                    {all}, {2}, tensor.dtype())
          .value();
    };
    const auto a = view(step.reads[0], step.read_begin, step.length);
    const auto b = view(step.reads[1], step.read_begin, step.length);
    const auto w = view(step.write, step.write_begin, step.length);
    const auto submit = [&](const auto&... args) {
      const auto flagged = when(cells[step.flag], Compare::greater_equal, 0, step.write_begin);
      if (step.is_slot && step.has_predicate) return ChipTaskId(chip.aiv("r_mix", args..., slot, flagged));
      if (step.is_slot) return ChipTaskId(chip.aiv("r_mix", args..., slot));
      if (step.has_predicate) return ChipTaskId(chip.aiv("r_mix", args..., scalar(step.number), flagged));
      return ChipTaskId(chip.aiv("r_mix", args..., scalar(step.number)));
    };
    switch (step.kind) {
      case Step::mix:
        submit(in(a), in(b), inout(w));
        break;
      case Step::overwrite:
        chip.aic("r_write", in(a), out(w), scalar(step.number));
        break;
      case Step::make:
        if (step.is_slot) {
          cells.push_back(chip.alloc(out_new<std::int64_t>({width}).fill(step.number)));
        } else {
          cells.push_back(chip.aiv("r_write", in(cells[step.reads[0]]), out_new<std::int64_t>({width}),
                                   scalar(step.number)));
        }
        break;
      case Step::store:
        chip.set(cells[step.write], step.number, step.write_begin);
        break;
      case Step::nothing:
        chip.dummy(in(a), inout(w));
        break;
      case Step::blocks:
        chip.aiv("r_count", inout(cells[step.write]), scalar(step.number), blocks(3));
        break;
      case Step::cluster:
        chip.mixed({"r_count", "", "r_count"}, inout(cells[step.write]), scalar(step.number));
        break;
      case Step::scope:  // as deep as it comes; all end with the body
        if (scopes.size() < 3) {
          scopes.push_back(chip.scope());
        }
        break;
    }
  }
  while (!scopes.empty()) scopes.pop_back();
}

}  // namespace

// Numbers that wrap around.
static std::uint64_t bits(std::int64_t number) { return static_cast<std::uint64_t>(number); }
TROUPE_KERNEL(r_mix)(KernelArgs& k) {
  const auto a = k.tensor<const std::int64_t>(0), b = k.tensor<const std::int64_t>(1);
  const auto w = k.tensor<std::int64_t>(2);
  // What is read first: they may share bytes.
  auto sum = bits(k.scalar<std::int64_t>(0));
  for (std::size_t i = 0; i < a.size(); ++i) sum = sum * 31 + bits(a(i)) + 7 * bits(b(i));
  for (std::size_t i = 0; i < w.size(); ++i) w(i) = static_cast<std::int64_t>(bits(w(i)) * 3 + (sum ^ i));
}
TROUPE_KERNEL(r_write)(KernelArgs& k) {
  const auto a = k.tensor<const std::int64_t>(0);
  const auto w = k.tensor<std::int64_t>(1);
  const auto first = bits(a(0)) - bits(k.scalar<std::int64_t>(0));
  for (std::size_t i = 0; i < w.size(); ++i) w(i) = static_cast<std::int64_t>(first + i);
}
TROUPE_KERNEL(r_count)(KernelArgs& k) {
  const auto w = k.tensor<std::int64_t>(0);
  const auto at = static_cast<std::size_t>(k.block_idx() + k.sub_block_id());
  std::atomic_ref(w(at)).fetch_add(k.scalar<std::int64_t>(0));
}

// Three rounds: with its arguments, the same in another order, and as at first.
TROUPE_CHIP_PROGRAM(random_program)(ChipOrchestrator& chip, ChipArgs args) {
  const auto& spec = *args.scalar<const Spec*>(0);
  for (std::uint32_t round = 0; round < 3; ++round) {
    std::vector<Tensor> cells;
    for (std::uint32_t i = 0; i < spec.given; ++i)
      cells.push_back(args.tensor((i + (round == 1 ? 1 : 0)) % spec.given));
    const auto number = scalar(static_cast<std::int64_t>(100 * round + 5));
    const auto body = [&](const GraphScalar& slot) { submit_all(chip, spec, cells, slot); };
    const auto name = "random " + std::to_string(spec.seed);
    const auto keep = [&](const auto& given) {
      chip.graph(name, given, [&](GraphScalars r) { body(r[0]); });
    };
    if (!spec.kept) {
      const auto s = chip.scope();
      body({number, 0});
    } else if (spec.given == 1) {
      keep(slots(inout(cells[0]), number));
    } else if (spec.given == 2) {
      keep(slots(inout(cells[0]), inout(cells[1]), number));
    } else if (spec.given == 3) {
      keep(slots(inout(cells[0]), inout(cells[1]), inout(cells[2]), number));
    } else {
      keep(slots(inout(cells[0]), inout(cells[1]), inout(cells[2]), inout(cells[3]), number));
    }
    // What comes behind waits for all of it.
    chip.aiv("r_mix", in(cells[0]), in(cells[0]), inout(cells[spec.given - 1]), scalar(std::int64_t{1}));
  }
}

namespace {

std::vector<std::int64_t> memory_after(Chip& chip, std::uint64_t program, const Spec& spec, int runs) {
  std::vector<std::int64_t> memory(spec.given * width);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<std::int64_t>(i * 17) - 40;
  for (int run = 0; run < runs; ++run) {
    RunArgs args;
    for (std::uint32_t i = 0; i < spec.given; ++i)
      args.add(inout(Tensor::host(memory.data() + std::size_t{i} * width, {width})));
    args.add(scalar(&spec));
    const auto done = chip.run(program, args);
    REQUIRE_MESSAGE(done, done.error().message());
  }
  return memory;
}

}  // namespace

TEST_CASE("a random chip program leaves the same memory as a graph with other slots") {
  const char* more = std::getenv("TROUPE_SOAK");  // NOLINT(concurrency-mt-unsafe): read only
  const std::uint64_t count = more != nullptr ? std::strtoull(more, nullptr, 10) : 300;
  Chip chip("a2a3sim", {{"checked", "0"}}), checked("a2a3sim", {{"checked", "1"}});
  const auto program = chip.add("random_program"), compared = checked.add("random_program");
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    CAPTURE(seed);
    auto spec = random_spec(seed);
    auto fresh = spec;
    spec.kept = true;
    const auto expected = memory_after(chip, program, fresh, 2);
    REQUIRE(memory_after(chip, program, spec, 2) == expected);
    if (seed % 8 == 0) REQUIRE(memory_after(checked, compared, spec, 2) == expected);
  }
}
