// Which tensor of a graph a task's argument is a part of: replays use that of the tensors that they are
// given.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "platform/sim/fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::Compare;

namespace {

const std::vector<std::map<std::string, std::string>> both{{{"checked", "0"}}, {{"checked", "1"}}};

std::string failure_of(Chip& chip, std::uint64_t program, const RunArgs& args) {
  const auto done = chip.run(program, args);
  return done ? "" : done.error().message();
}

}  // namespace

TROUPE_KERNEL(more_by)(runtime::KernelArgs& k) {
  auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += k.scalar<float>(0);
}

TROUPE_CHIP_PROGRAM(sums_of_what_is_given)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y, z] = args.tensors<3>();
  const auto sum = [&chip](const Tensor& a, const Tensor& b, const Tensor& c) {
    chip.graph("sum", slots(in(a), in(b), out(c)), [&] { chip.aiv("add", in(a), in(b), out(c)); });
  };
  sum(x, x, z.slice(0, 0, 4));
  sum(x, y, z.slice(0, 4, 8));
  sum(y, y, z.slice(0, 8, 12));
  sum(y, x, z.slice(0, 12, 16));
}

TROUPE_CHIP_PROGRAM(halves_by_column)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [m, n] = args.tensors<2>();
  const auto work = [&chip](const Tensor& a, const Tensor& b) {
    chip.graph("halves", slots(inout(a), inout(b)), [&] {
      for (std::uint32_t row = 0; row < 4; ++row) {
        chip.aiv("more_by", inout(a.slice(0, row, row + 1).reshape({2})), scalar(1.0f));
        chip.aiv("more_by", inout(b.slice(0, row, row + 1).reshape({2})), scalar(10.0f));
      }
    });
  };
  work(m.slice(1, 0, 2), m.slice(1, 2, 4));
  work(n.slice(1, 2, 4), n.slice(1, 0, 2));
}

TROUPE_CHIP_PROGRAM(the_other_half)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [m] = args.tensors<1>();
  const Tensor left = m.slice(1, 0, 2), right = m.slice(1, 2, 4);
  chip.graph("one half", slots(inout(left)),
             [&] { chip.aiv("more_by", inout(right.slice(0, 0, 1).reshape({2})), scalar(1.0f)); });
}

TROUPE_CHIP_PROGRAM(dummies)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x] = args.tensors<1>();
  if (args.scalar<int>(0) == 0) {
    chip.dummy(out_like(x).fill(7.0f));
  } else {
    const Tensor flag = chip.alloc(out_new<std::int32_t>({1}).fill(1));
    chip.dummy(inout(x), when(flag, Compare::equal, 1));
  }
}

TEST_CASE("a graph that was recorded with one tensor in two places is replayed with two") {
  for (const auto& options : both) {
    Chip chip("a2a3sim", options);
    const auto program = chip.add("sums_of_what_is_given");
    for (int run = 0; run < 3; ++run) {
      std::vector<float> x(4, 1), y(4, 100), z(16, 0);
      REQUIRE(failure_of(chip, program,
                         RunArgs::of(in(Tensor::host(x.data(), {4})), in(Tensor::host(y.data(), {4})),
                                     out(Tensor::host(z.data(), {16})))) == "");
      CHECK(std::vector<float>{z[0], z[4], z[8], z[12]} == std::vector<float>{2, 101, 200, 101});
    }
  }
}

TEST_CASE("a graph of halves that lie between each other is replayed with others") {
  for (const auto& options : both) {
    Chip chip("a2a3sim", options);
    const auto program = chip.add("halves_by_column");
    std::vector<float> m(16, 0), n(16, 0);
    REQUIRE(failure_of(chip, program,
                       RunArgs::of(inout(Tensor::host(m.data(), {4, 4})),
                                   inout(Tensor::host(n.data(), {4, 4})))) == "");
    for (std::size_t row = 0; row < 4; ++row) {
      CHECK(std::vector<float>(m.begin() + row * 4, m.begin() + row * 4 + 4) ==
            std::vector<float>{1, 1, 10, 10});
      CHECK(std::vector<float>(n.begin() + row * 4, n.begin() + row * 4 + 4) ==
            std::vector<float>{10, 10, 1, 1});
    }
  }
}

TEST_CASE("what lies between the elements of a graph's tensor is no part of it") {
  Chip chip("a2a3sim", both[0]);
  std::vector<float> m(16, 0);
  const auto failed =
      failure_of(chip, chip.add("the_other_half"), RunArgs::of(inout(Tensor::host(m.data(), {4, 4}))));
  CHECK(failed.find("is neither a part of what was given") != std::string::npos);
}

TEST_CASE("a dummy fills no memory and asks for no element") {
  Chip chip("a2a3sim", both[0]);
  const auto program = chip.add("dummies");
  std::vector<float> x(4, 1);
  for (const int which : {0, 1}) {
    const auto failed =
        failure_of(chip, program, RunArgs::of(inout(Tensor::host(x.data(), {4})), scalar(which)));
    CHECK(failed.find(which == 0 ? "cannot fill new memory" : "cannot depend on an element") !=
          std::string::npos);
  }
}
