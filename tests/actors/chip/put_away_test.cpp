// What a chip writes into host memory, call by call: what it was asked to store, and what it has no room for.
#include <doctest/doctest.h>

#include <algorithm>

#include "chip/state.hpp"
#include "data/data.hpp"
#include "support/bring_up.hpp"
#include "tasks.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

const Callable sevens{"sevens", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};
constexpr std::uint64_t elements = 256, bytes = elements * sizeof(float);

/// A chip with room for two tensors. A task writes sevens into its tensor.
struct Bench {
  Bench() {
    script.on("sevens", [](auto& call) {
      const auto x = call.template tensor<float>(0);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = 7.0F;
    });
    REQUIRE(test::bring_up(state, done, host));
  }
  ~Bench() { host->run(); }
  ChipConfig config() {
    ChipConfig config;
    config.options = {{"memory_bytes", std::to_string(2 * bytes)}};
    config.device = [this](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
    return config;
  }
  Tensor tensor() {
    auto made = memory->tensor({elements}, runtime::DType::f32).value();
    std::fill_n(host_of(made), elements, 1.0F);
    return made;
  }
  /// Past everything that keeps views and chips apart.
  static float* host_of(const Tensor& tensor) {
    return reinterpret_cast<float*>(buffer(tensor)->host().value());
  }
  static std::shared_ptr<Buffer> buffer(const Tensor& tensor) {
    const auto hold = tensor.hold();
    REQUIRE(hold != nullptr);
    return hold->buffer->shared_from_this();
  }
  /// How many tasks have ended since.
  std::size_t write(const Tensor& tensor) {
    Args args;
    args.add(inout(tensor));
    TaskRequest request;
    request.key = {1, ++last, 0, 0};
    request.ticket = last;
    request.body = std::make_shared<TaskBody>(TaskBody{&sevens, std::move(args.values), nullptr});
    (void)buffer(tensor)->claim(link);
    std::vector<TaskRequest> requests;
    requests.push_back(std::move(request));
    auto refused = state.execute(requests);
    CHECK(refused.empty());
    return turn();
  }
  std::size_t turn() {
    std::size_t count = 0;
    do {
      host->run();
      count += state.ended(std::exchange(done, {})).size();
    } while (host->pending() > 0);
    return count;
  }
  void store(const Tensor& tensor, const Piece& what) {
    DataOrders orders;
    orders.stores.push_back({buffer(tensor), 0, what});
    (void)state.take(orders);
    const auto stored = state.take_stored();
    REQUIRE(stored.size() == 1);
    CHECK(stored[0].piece == what.number);
    CHECK_FALSE(stored[0].error);
  }
  static runtime::Box box_of_view(const Tensor& view) {
    Args args;
    args.add(in(view));
    return box_of(args.values.tensors[0]);
  }
  static PieceOf all_of(const Tensor& tensor) { return {buffer(tensor)->number(), 0}; }

  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::shared_ptr<NodeLink> link =
      std::make_shared<NodeLink>("node0", std::make_shared<Services>(SystemConfig{}), nullptr);
  platform::ScriptedChip script;
  DeviceDone done;
  ChipState state{config(), {"chip0", 0, 0, 0, link}, host};
  TaskNumber last = 0;
};

}  // namespace

TEST_CASE("chip: what host memory has of its bytes, where others may read it, is not written again") {
  Bench bench;
  const auto x = bench.tensor();
  auto* const seen = Bench::host_of(x);
  const Piece all{0, whole_box(*Bench::buffer(x))};
  const Piece half{1, Bench::box_of_view(x.view({64}, {128}))};
  REQUIRE(bench.write(x) == 1);
  bench.store(x, half);
  CHECK(seen[63] == 1.0F);
  CHECK(seen[64] == 7.0F);
  CHECK(seen[191] == 7.0F);
  CHECK(seen[192] == 1.0F);
  std::fill_n(seen + 64, 128, 9.0F);  // marked: whoever writes there is seen
  bench.store(x, all);
  CHECK(std::count(seen, seen + elements, 7.0F) == 128);
  CHECK(std::count(seen + 64, seen + 192, 9.0F) == 128);
  // What a task has written since is new.
  REQUIRE(bench.write(x) == 1);
  bench.store(x, all);
  CHECK(std::count(seen, seen + elements, 7.0F) == elements);
}

TEST_CASE("chip: columns that host memory has are left out, in every row") {
  Bench bench;
  const auto x = bench.tensor().reshape({16, 16});
  auto* const seen = Bench::host_of(x);
  REQUIRE(bench.write(x) == 1);
  bench.store(x, {1, Bench::box_of_view(x.view({0, 4}, {16, 2}))});
  bench.store(x, {2, Bench::box_of_view(x.view({3, 5}, {2, 8}))});  // meets the first
  for (int i = 0; i < 256; ++i) {
    if (seen[i] == 7.0F) seen[i] = 9.0F;
  }
  bench.store(x, {0, whole_box(*Bench::buffer(x))});
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      const bool first = column == 4 || column == 5;
      const bool second = row >= 3 && row < 5 && column >= 5 && column < 13;
      CHECK(seen[row * 16 + column] == (first || second ? 9.0F : 7.0F));
    }
  }
}

TEST_CASE("chip: without room it asks its node before it writes host memory, and goes on with the answer") {
  Bench bench;
  const auto x = bench.tensor(), y = bench.tensor(), z = bench.tensor();
  auto* const seen = Bench::host_of(x);
  REQUIRE(bench.write(x) == 1);
  REQUIRE(bench.write(y) == 1);
  CHECK(bench.write(z) == 0);
  CHECK(bench.state.take_wanted_room() == std::vector{Bench::all_of(x)});
  CHECK(seen[0] == 1.0F);
  CHECK(bench.state.take_stored().empty());
  DataOrders answer;
  SUBCASE("it may") {
    answer.rooms.push_back({Bench::all_of(x), true});
    CHECK(bench.state.take(answer).empty());
    CHECK(std::count(seen, seen + elements, 7.0F) == elements);
    const auto stored = bench.state.take_stored();
    REQUIRE(stored.size() == 1);
    CHECK(stored[0].for_room);
    CHECK_FALSE(stored[0].error);
  }
  SUBCASE("it may not: the bytes are the newest nowhere") {
    answer.rooms.push_back({Bench::all_of(x), false});
    CHECK(bench.state.take(answer).empty());
    CHECK(bench.state.take_stored().empty());
    CHECK(seen[0] == 1.0F);
  }
  SUBCASE("it may, but they were dropped meanwhile") {
    answer.drops.push_back(Bench::all_of(x));
    answer.rooms.push_back({Bench::all_of(x), true});
    CHECK(bench.state.take(answer).empty());
    const auto stored = bench.state.take_stored();
    REQUIRE(stored.size() == 1);
    CHECK(stored[0].error);
    CHECK(seen[0] == 1.0F);
  }
  CHECK(bench.turn() == 1);
  // The next one finds another that has to go.
  CHECK(bench.write(x) == 0);
  CHECK(bench.state.take_wanted_room() == std::vector{Bench::all_of(y)});
}

TEST_CASE(
    "chip: what cannot be put into host memory is not tried for ever: the task hears that there is no room") {
  Bench bench;
  const auto x = bench.tensor(), y = bench.tensor(), z = bench.tensor();
  REQUIRE(bench.write(x) == 1);
  REQUIRE(bench.write(y) == 1);
  platform::ScriptedFault fault;
  fault.kind = platform::ScriptedFault::Kind::fail_call;
  fault.call = "copy_from_device_ctx";
  fault.code = TROUPE_DEVICE_INVALID_ARGUMENT;
  fault.times = 2;
  bench.script.inject(fault);
  CHECK(bench.write(z) == 0);
  std::vector<TaskResult> told;
  int asked = 0;
  for (auto wanted = bench.state.take_wanted_room(); !wanted.empty() && asked < 10;
       wanted = bench.state.take_wanted_room(), ++asked) {
    DataOrders answer;
    for (const auto& piece : wanted) answer.rooms.push_back({piece, true});
    told = bench.state.take(answer);
    for (const auto& stored : bench.state.take_stored()) CHECK(stored.error);
  }
  CHECK(asked == 2);  // each once
  REQUIRE(told.size() == 1);
  CHECK(told[0].outcome == Outcome::failed);
  REQUIRE(told[0].error);
  CHECK(told[0].error->message().find("no room on chip0") != std::string::npos);
  // Another task finds the device willing.
  CHECK(bench.write(z) == 0);
  DataOrders answer;
  for (const auto& piece : bench.state.take_wanted_room()) answer.rooms.push_back({piece, true});
  CHECK(answer.rooms.size() == 1);
  CHECK(bench.state.take(answer).empty());
  CHECK(bench.turn() == 1);
}
