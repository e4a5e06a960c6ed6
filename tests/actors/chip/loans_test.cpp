// Bytes that go from one chip to another: both chips, call by call.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "chip/loan.hpp"
#include "chip/state.hpp"
#include "data/data.hpp"
#include "support/bring_up.hpp"
#include "tasks.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

const Callable more{"more", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};
const Callable look{"look", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

struct Bench {
  /// `elements`: of each tensor; a chip has room for two.
  explicit Bench(std::uint64_t elements) : size(elements * sizeof(float)) {
    script.on("more", [](auto& call) {
      for (auto& element : call.template tensor<float>(0)) element += 1.0F;
    });
    script.on("look", [this](auto& call) { seen.push_back(call.template tensor<float>(0)[1]); });
    for (int i = 0; i < 2; ++i) chips[i].emplace(*this, i);
  }

  struct One {
    One(Bench& of, int index)
        : bench(of), state(config(), {"chip" + std::to_string(index), index, 0, 0, of.link}, of.host) {
      REQUIRE(test::bring_up(state, done, bench.host));
      state.when_loans_come_back([this](const LoanBack& back) { backs.push_back(back); });
    }
    ChipConfig config() {
      ChipConfig config;
      config.options = {{"memory_bytes", std::to_string(2 * bench.size)}};
      config.device = [this](std::uint32_t) { return Result<platform::DeviceApi>(bench.script.api()); };
      return config;
    }
    std::size_t send(const Callable& callable, const Tensor& tensor) {
      Args args;
      callable.name == "look" ? args.add(in(tensor)) : args.add(inout(tensor));
      TaskRequest request;
      request.key = {1, ++bench.last, 0, 0};
      request.ticket = bench.last;
      request.body = std::make_shared<TaskBody>(TaskBody{&callable, std::move(args.values), nullptr});
      (void)buffer(tensor)->claim(bench.link);
      std::vector<TaskRequest> requests;
      requests.push_back(std::move(request));
      return state.execute(requests).size() + turn();
    }
    /// Everything that can happen does: how many tasks have ended.
    std::size_t turn() {
      std::size_t count = 0;
      for (bool more_to_do = true; more_to_do;) {
        bench.host->run();
        count += state.ended(std::exchange(done, {})).size();
        for (const auto& back : std::exchange(backs, {})) count += state.returned(back).size();
        const auto calls = holds_moves ? std::vector<MemoryCall>() : state.to_move();
        for (const auto& call : calls) {
          const auto made = perform(*state.device(), call);
          if (call.buffer) count += state.moved(call, made).size();
        }
        more_to_do = !calls.empty() || bench.host->pending() > 0 || !done.ends.empty() || !backs.empty();
      }
      return count;
    }
    std::shared_ptr<Loan> lend(const Tensor& tensor) {
      DataOrders orders;
      orders.stores.push_back({buffer(tensor), 0, {0, whole_box(*buffer(tensor))}, 5});
      (void)state.take(orders);
      return lent();
    }
    std::shared_ptr<Loan> lent() {
      const auto answers = state.take_stored();
      if (answers.empty()) return nullptr;
      CHECK(answers.back().passing == 5);
      CHECK_FALSE(answers.back().taken);
      return answers.back().loan;
    }
    void take(const Tensor& tensor, std::shared_ptr<Loan> loan) {
      DataOrders orders;
      orders.takes.push_back({buffer(tensor), {0, whole_box(*buffer(tensor))}, std::move(loan), 5});
      (void)state.take(orders);
    }
    /// Nothing: it has not answered.
    std::optional<bool> has_taken() {
      const auto answers = state.take_stored();
      if (answers.empty()) return std::nullopt;
      CHECK(answers.back().taken);
      return !answers.back().error;
    }

    Bench& bench;
    DeviceDone done;
    std::vector<LoanBack> backs;
    bool holds_moves = false;  ///< nobody makes them
    ChipState state;
  };

  Tensor tensor() {
    auto made = memory->tensor({size / sizeof(float)}, runtime::DType::f32).value();
    std::fill_n(reinterpret_cast<float*>(buffer(made)->host().value()), size / sizeof(float), 1.0F);
    return made;
  }
  static std::shared_ptr<Buffer> buffer(const Tensor& tensor) {
    return tensor.hold()->buffer->shared_from_this();
  }

  const std::uint64_t size;
  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::shared_ptr<NodeLink> link =
      std::make_shared<NodeLink>("node0", std::make_shared<Services>(SystemConfig{}), nullptr);
  platform::ScriptedChip script;
  std::vector<float> seen;
  TaskNumber last = 0;
  std::optional<One> chips[2];
};

/// As the chip's actor copies them, and as a thread does.
constexpr std::uint64_t few = 256, many = ChipState::quick_bytes / sizeof(float) + 64;

}  // namespace

TEST_CASE("chip: what it lends stays as it is and where it is until it is back") {
  for (const auto elements : {few, many}) {
    Bench bench(elements);
    auto &one = *bench.chips[0], &two = *bench.chips[1];
    const auto x = bench.tensor();
    CHECK(one.send(more, x) == 1);
    auto loan = one.lend(x);
    REQUIRE(loan);
    CHECK(one.send(look, x) == 1);  // readers go on
    CHECK(one.send(more, x) == 0);  // writers wait
    two.take(x, std::move(loan));
    two.turn();
    CHECK(two.has_taken() == true);
    CHECK(one.turn() == 1);
    CHECK(two.send(look, x) == 1);
    CHECK(bench.seen == std::vector<float>{2.0F, 2.0F});  // neither the host's, nor what was written since
  }
}

TEST_CASE("chip: a copy that is out of date, or whose room others want, goes when the loan is back") {
  Bench bench(few);
  auto& one = *bench.chips[0];
  const auto x = bench.tensor(), y = bench.tensor(), z = bench.tensor();
  CHECK(one.send(more, x) == 1);
  auto loan = one.lend(x);
  REQUIRE(loan);
  CHECK(one.send(more, y) == 1);
  SUBCASE("dropped") {
    DataOrders orders;
    orders.drops.push_back({Bench::buffer(x)->number(), 0});
    orders.drops.push_back({Bench::buffer(y)->number(), 0});
    (void)one.state.take(orders);
    CHECK(one.state.status().memory_cached == 2 * bench.size);
    CHECK(one.send(more, z) == 1);  // where y was
    CHECK(one.send(more, y) == 0);  // not where x is
    loan = nullptr;
    CHECK(one.turn() == 1);
  }
  SUBCASE("no room: it is not what goes") {
    CHECK(one.send(more, z) == 0);
    const auto wanted = one.state.take_wanted_room();
    REQUIRE(wanted.size() == 1);
    CHECK(wanted[0].buffer == Bench::buffer(y)->number());
    DataOrders orders;
    orders.rooms.push_back({wanted[0], true});
    (void)one.state.take(orders);
    CHECK(one.turn() == 1);
  }
}

TEST_CASE("chip: what is to be written first is lent afterwards, and what is not there is not") {
  Bench bench(few);
  auto& one = *bench.chips[0];
  const auto x = bench.tensor(), y = bench.tensor();
  CHECK_FALSE(one.lend(y));
  CHECK(one.send(more, x) == 1);
  auto first = one.lend(x);
  REQUIRE(first);
  CHECK(one.send(more, x) == 0);
  CHECK_FALSE(one.lend(x));  // no answer yet
  first.reset();
  CHECK(one.turn() == 1);
  CHECK(one.lent());
}

TEST_CASE("chip: who has no room does not take, and is not asked to make some") {
  Bench bench(few);
  auto &one = *bench.chips[0], &two = *bench.chips[1];
  const auto x = bench.tensor(), y = bench.tensor(), z = bench.tensor();
  CHECK(two.send(more, y) == 1);
  CHECK(two.send(more, z) == 1);
  CHECK(one.send(more, x) == 1);
  two.take(x, one.lend(x));
  CHECK(two.has_taken() == false);
  CHECK(two.state.take_wanted_room().empty());
  CHECK(one.backs.size() == 1);
}

TEST_CASE("chip: a device that was given up is not copied from, and one that is copied from is not closed") {
  for (const auto elements : {few, many}) {
    Bench bench(elements);
    auto &one = *bench.chips[0], &two = *bench.chips[1];
    const auto x = bench.tensor();
    CHECK(one.send(more, x) == 1);
    auto loan = one.lend(x);
    const auto device = one.state.device();
    REQUIRE(loan->device == device);
    SUBCASE("given up before") {
      auto left = one.state.reset(1);
      left->give_up();
      left->when_left(DeviceInUse::Inside::memory, [&] { CHECK(left->context.close()); });
      two.take(x, std::move(loan));
      two.turn();
      CHECK(two.has_taken() == false);
      CHECK(one.state.returned(one.backs.front()).empty());  // of an earlier life
    }
    SUBCASE("while somebody is inside") {
      REQUIRE(device->try_enter(DeviceInUse::Inside::memory));
      bool closed = false;
      device->give_up();
      device->when_left(DeviceInUse::Inside::memory, [&] { closed = true; });
      CHECK_FALSE(closed);
      CHECK_FALSE(device->try_enter(DeviceInUse::Inside::memory));
      device->leave(DeviceInUse::Inside::memory);
      CHECK(closed);
    }
    SUBCASE("the taker is reset while it is about to") {
      two.holds_moves = true;
      two.take(x, std::move(loan));
      auto left = two.state.reset(1);
      CHECK(left->context.close());
      one.turn();
      CHECK(one.send(more, x) == 1);  // it has it back
    }
  }
}
