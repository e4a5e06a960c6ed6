// Memory of the user's is lent to a run, and is the user's alone again when the run has ended, however slow
// somebody is to forget what the run was about.
#include <doctest/doctest.h>

#include "data/buffer.hpp"
#include "run/state.hpp"
#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace troupe::actors;
using test::error_of;

TROUPE_KERNEL(loan_add)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}

namespace {

/// Keeps memory for somebody, as an array of another language does.
class Keeps final : public BufferHold {};

Tensor kept(float* elements, std::uint32_t count, std::shared_ptr<BufferHold> hold) {
  return {Tensor::borrow(elements, {count}).description(), std::move(hold)};
}

}  // namespace

TEST_CASE("loans: memory is lent as long as a run has it, not as long as somebody remembers the run") {
  const auto memory = std::make_shared<HostMemory>();
  std::vector<float> mine(8, 1.0F);
  const auto first = Tensor::borrow(mine.data(), {6}).description(),
             second = Tensor::borrow(mine.data() + 4, {4}).description();
  const auto run = std::make_shared<RunMemory>();
  const auto array = std::make_shared<Keeps>();
  Buffer* buffer = nullptr;
  {
    const auto lent = memory->borrow(first).value();
    buffer = lent.hold()->buffer;
    run->keep(lent.hold());
    run->keep(array);
  }
  // Parts of it are views of the same buffer.
  CHECK(memory->borrow(Tensor::borrow(mine.data() + 1, {2}).description()).value().hold()->buffer == buffer);
  CHECK_FALSE(memory->borrow(second));
  run->hand_over();
  CHECK_FALSE(memory->borrow(second));
  const auto slow = buffer->shared_from_this();
  run->give_up_loans();
  CHECK(array.use_count() == 1);
  const auto next = memory->borrow(second);
  REQUIRE(next);
  CHECK(next->hold()->buffer != buffer);
  CHECK_FALSE(memory->borrow(first));
}

TEST_CASE("loans: who looks at a tensor of borrowed memory has it lent") {
  const auto memory = std::make_shared<HostMemory>();
  std::vector<float> mine(8, 1.0F);
  const auto second = Tensor::borrow(mine.data() + 4, {4}).description();
  {
    const auto looked_at = memory->borrow(Tensor::borrow(mine.data(), {6}).description()).value();
    CHECK_FALSE(memory->borrow(second));
  }
  CHECK(memory->borrow(second));
}

TEST_CASE(
    "loans: ranges that overlap are lent to one run after another, and what kept them has gone with each") {
  System system;
  const auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 2});
  node.load(this_module());
  std::vector<float> mine(64, 0.0F);
  const auto add = [](Orchestrator& n, Tensor x) {
    n.submit("loan_add", inout(x), on_chip(0));
    n.submit("loan_add", inout(x), on_chip(1));
  };
  for (std::uint32_t i = 0; i < 400; ++i) {
    const auto hold = std::make_shared<Keeps>();
    const auto x = kept(mine.data() + i % 32, 32, hold);
    if (i % 2 == 0) {
      node.run(add, x);
      CHECK(hold.use_count() == 2);  // x has it, and nobody else
    } else {
      node.submit(add, x).get();
    }
  }
  CHECK(mine[31] == 800.0F);
}

TEST_CASE("loans: in every interleaving") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    testing::Simulation sim({.seed = seed, .chips = 2});
    sim.kernel("add", [](auto& call) {
      for (auto& element : call.template tensor<float>(0)) element += 1.0F;
    });
    std::vector<float> mine(64, 0.0F);
    const auto add = [](Orchestrator& n, Tensor x) {
      n.submit("add", inout(x), on_chip(0));
      n.submit("add", inout(x), on_chip(1));
    };
    for (std::uint32_t i = 0; i < 20; ++i) {
      const auto handle = sim.node().submit(add, kept(mine.data() + i, 32, std::make_shared<Keeps>()));
      while (!handle.done()) REQUIRE(sim.step());
      handle.get();
    }
    CHECK(mine[31] == 40.0F);
  }
}
