// Graphs and replays of them, without a chip around.
#include <doctest/doctest.h>

#include <random>

#include "chip_parts.hpp"
#include "graphs/graphs.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using namespace troupe::platform::sim::test;
using runtime::Tag;
using runtime::Tensor;

namespace {

constexpr std::array<std::uint16_t, 3> on_vector{0, 1, 0}, no_kernel{0, 0, 0};

/// 0 → 1, 2 → 3 (no work) → 4
std::shared_ptr<const ChipGraph> diamond() {
  GraphMaker maker(0);
  for (std::uint32_t step = 0; step < 5; ++step) {
    maker.begin({.lanes = step == 3 ? no_kernel : on_vector});
    if (step == 1 || step == 2) maker.add_producer(0);
    if (step == 3) {
      for (const std::uint32_t before : {2, 1, 2}) maker.add_producer(before);
    }
    if (step == 4) maker.add_producer(3);
  }
  return maker.finish(0);
}

Tensor tensor_at(std::uint64_t address, std::uint64_t first, std::uint64_t count) {
  return Tensor::create({0, 0, address}, 1024, first * 4, {count}, runtime::DType::f32).value();
}

struct Replaying {
  TaskRecords records;
  Pace pace;
  GraphReplays replays{records, pace};
  KernelEntry kernel, store;
  GraphReplay& begin(std::shared_ptr<const ChipGraph> graph) {
    auto& replay = replays.take();
    replay.graph = std::move(graph);
    replay.kernels = {&kernel};
    replay.store = &store;
    replay.bases = {0};
    replays.begin(replay);
    return replay;
  }
  TaskRecord* pop() { return replays.pop(kinds::aiv); }
};

}  // namespace

TEST_CASE("the steps of a replay are ready when all that they wait for has ended") {
  Replaying it;
  const auto graph = diamond();
  CHECK(graph->first == std::vector<std::uint32_t>{0});
  CHECK(graph->producers == std::vector<std::uint32_t>{0, 1, 1, 2, 1});
  auto& replay = it.begin(graph);
  CHECK(it.replays.ready_count(kinds::aiv) == 1);
  auto* first = it.pop();
  CHECK(it.pop() == nullptr);
  CHECK_FALSE(it.replays.complete(*first));
  auto *second = it.pop(), *third = it.pop();
  REQUIRE((second != nullptr && third != nullptr));
  CHECK_FALSE(it.replays.complete(*third));
  CHECK(it.pop() == nullptr);  // the step without work waits for both
  it.replays.requeue(*second);
  second = it.pop();
  CHECK(second->step == 1);
  CHECK_FALSE(it.replays.complete(*second));
  auto* last = it.pop();
  REQUIRE(last != nullptr);
  CHECK(last->step == 4);
  CHECK(replay.running == 1);
  CHECK(it.replays.complete(*last));
  CHECK(replay.is_over());
}

TEST_CASE("a step follows its only producer once, and waits for it when it is put back") {
  Replaying it;
  GraphMaker maker(0);
  for (std::uint32_t step = 0; step < 3; ++step) {
    maker.begin({.lanes = on_vector});
    if (step != 0) maker.add_producer(step - 1);
  }
  auto& replay = it.begin(maker.finish(0));
  auto* first = it.pop();
  auto* second = it.replays.follow(*first);
  REQUIRE(second != nullptr);
  CHECK(second->is_follower);
  CHECK_FALSE(it.replays.complete(*first));
  CHECK(it.pop() == nullptr);  // it is out already
  auto* third = it.replays.follow(*second);
  REQUIRE(third != nullptr);
  second->follower = second->step;  // the third does not follow, after all
  CHECK_FALSE(GraphReplays::end(*third));
  CHECK_FALSE(it.replays.complete(*second));
  third = it.pop();
  REQUIRE(third != nullptr);
  CHECK(it.replays.follow(*third) == nullptr);
  CHECK(it.replays.complete(*third));
  CHECK(replay.running == 0);
}

TEST_CASE("after a failure nothing of a replay is ready") {
  Replaying it;
  auto& replay = it.begin(diamond());
  auto* first = it.pop();
  it.replays.complete(*first);
  auto* second = it.pop();
  it.replays.drop_ready();
  CHECK(it.pop() == nullptr);
  CHECK(GraphReplays::end(*second));
  CHECK_FALSE(replay.is_over());
  int begun = 0;
  it.replays.for_each_begun([&](GraphReplay&) { ++begun; });
  CHECK(begun == 1);
  it.replays.give_back(replay);
  CHECK(&it.replays.take() == &replay);
}

TEST_CASE("a step is expanded with the addresses, numbers and predicate of its replay") {
  Replaying it;
  GraphMaker maker(2);
  const auto half = runtime::describe(tensor_at(4096, 8, 4), 4096, runtime::AddressSpace::device, Tag::inout);
  maker.begin({.lanes = on_vector, .name = "a step"});
  maker.add_view(1, 32, half, Tag::inout);
  maker.add_fill(7);
  maker.add_view(2, 1024, half, Tag::out);
  maker.add_scalar(11, 1);
  maker.add_scalar_slot(0);
  maker.add_view(0, 0, half, Tag::in);
  maker.set_predicate({nullptr, 3, 1, 0, -5});
  const auto graph = maker.finish(2048);
  auto& replay = it.replays.take();
  replay.graph = graph;
  replay.kernels = {&it.kernel};
  replay.store = &it.store;
  replay.bases = {1 << 20, 2 << 20, 3 << 20};
  replay.scalars = {42};
  replay.kinds = {3};
  it.replays.begin(replay);
  auto* task = it.pop();
  REQUIRE(task != nullptr);
  replay.expand(*task);
  CHECK(task->tensor_count == 2);
  CHECK(task->extra_tensors == 1);
  CHECK(task->tensors[0].address == (2 << 20) + 32);
  CHECK(task->tensors[1].address == (3 << 20) + 1024);
  CHECK(task->tensors[2].address == 1 << 20);
  CHECK(task->tensors[0].shapes[0] == 4);
  CHECK(task->tensors[0].size == 16);
  CHECK(task->tensors[0].start_offset == 0);
  CHECK((task->fills[0].wanted && task->fills[0].element == 7));
  CHECK_FALSE(task->fills[1].wanted);
  CHECK(task->scalar_count == 2);
  CHECK(task->scalars[0] == 11);
  CHECK(task->scalars[1] == 42);
  CHECK(task->scalar_kinds[1] == 3);
  CHECK((task->has_predicate && task->predicate.element == 3 && task->predicate.value == -5));
  CHECK(replay.name_of(0) == "a step");
  CHECK(graph->layouts.size() == 1);
}

TEST_CASE("slots fit when they are alike and share bytes alike") {
  const GraphSlots slots({{tensor_at(4096, 0, 8), Tag::in},
                          {tensor_at(4096, 4, 8), Tag::inout},
                          {tensor_at(65536, 0, 8), Tag::out}},
                         {1});
  const std::vector<std::uint8_t> kinds{1}, others{2};
  const auto defect = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
    return slots.defect(std::vector<GraphSlots::Slot>{{a, Tag::in}, {b, Tag::inout}, {c, Tag::out}}, kinds)
        .value_or("");
  };
  CHECK(defect(tensor_at(8192, 1, 8), tensor_at(8192, 5, 8), tensor_at(4096, 0, 8)).empty());
  // In memory that is said to begin elsewhere.
  CHECK(defect(tensor_at(8192, 4, 8), tensor_at(8208, 4, 8), tensor_at(4096, 0, 8)).empty());
  CHECK(defect(tensor_at(8192, 0, 8), tensor_at(8192, 5, 8), tensor_at(4096, 0, 8)).find("0 and 1 share") !=
        std::string::npos);
  CHECK(defect(tensor_at(8192, 0, 8), tensor_at(4096, 0, 8), tensor_at(65536, 0, 8)).find("0 and 1 share") !=
        std::string::npos);
  CHECK(defect(tensor_at(8192, 1, 8), tensor_at(8192, 5, 8), tensor_at(8192, 9, 8)).find("share bytes") !=
        std::string::npos);
  CHECK(slots.defect(slots.tensors(), others).value_or("").find("scalar 0") != std::string::npos);
  CHECK_FALSE(slots.defect(slots.tensors(), kinds));
  // Two that are only read may share what they like.
  const GraphSlots read({{tensor_at(4096, 0, 8), Tag::in}, {tensor_at(8192, 4, 8), Tag::in}}, {});
  CHECK_FALSE(read.defect(
      std::vector<GraphSlots::Slot>{{tensor_at(4096, 0, 8), Tag::in}, {tensor_at(4096, 4, 8), Tag::in}}, {}));
}

TEST_CASE("graphs differ in the first step that is another one") {
  const auto graph = [](std::uint64_t number, std::uint32_t steps, bool edge) {
    GraphMaker maker(1);
    const auto all = runtime::describe(tensor_at(4096, 0, 4), 4096, runtime::AddressSpace::device, Tag::out);
    for (std::uint32_t i = 0; i < steps; ++i) {
      maker.begin({.lanes = on_vector});
      maker.add_view(0, 0, all, Tag::out);
      maker.add_scalar(i == 1 ? number : 0, 1);
      if (edge && i == 2) maker.add_producer(0);
    }
    return maker.finish(0);
  };
  const auto same = graph(1, 3, true);
  CHECK_FALSE(same->differs_at(*graph(1, 3, true)));
  CHECK(same->differs_at(*graph(2, 3, true)) == 1);
  CHECK(same->differs_at(*graph(1, 3, false)) == 2);
  CHECK(same->differs_at(*graph(1, 4, true)) == 3);
  CHECK(graph(1, 100'000, false)->bytes() < 128 * 100'000);
}

TEST_CASE("a graph lies in the order in which it is run, and its steps keep their numbers") {
  // Two chains, submitted in turns; every odd step fills its view, has a number, and asks a predicate.
  GraphMaker maker(1);
  const auto all = runtime::describe(tensor_at(4096, 0, 4), 4096, runtime::AddressSpace::device, Tag::out);
  for (std::uint32_t step = 0; step < 6; ++step) {
    maker.begin({.lanes = on_vector});
    maker.add_view(0, step * 16, all, Tag::out);
    if (step > 1) maker.add_producer(step - 2);
    if (step % 2 == 0) continue;
    maker.add_fill(step);
    maker.add_scalar(100 + step, 1);
    maker.add_view(0, 0, all, Tag::in);
    maker.set_predicate({nullptr, step, 1, 0, -1});
  }
  const auto graph = maker.finish(0);
  CHECK(graph->numbers == std::vector<std::uint32_t>{0, 2, 4, 1, 3, 5});
  CHECK(graph->producers == std::vector<std::uint32_t>{0, 1, 1, 0, 1, 1});
  CHECK(graph->first == std::vector<std::uint32_t>{0, 3});
  Replaying it;
  auto& replay = it.begin(graph);
  std::vector<std::uint32_t> ran;
  while (auto* task = it.pop()) {
    replay.expand(*task);
    const auto number = graph->number_of(task->step);
    ran.push_back(number);
    CHECK(task->tensors[0].address == number * 16);
    REQUIRE(task->has_predicate == (number % 2 == 1));
    if (task->has_predicate) {
      CHECK(task->predicate.element == number);
      CHECK(task->fills[0].element == number);
      CHECK(task->scalars[0] == 100 + number);
    }
    it.replays.complete(*task);
  }
  CHECK(replay.is_over());
  CHECK(ran == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("a task of a graph that reads five tensors takes less than 128 bytes") {
  constexpr std::uint32_t tasks = 50'000, cells = 4096;
  GraphMaker maker(1);
  const auto cell = runtime::describe(tensor_at(4096, 0, 16), 4096, runtime::AddressSpace::device, Tag::in);
  std::mt19937 numbers(1);
  std::vector<std::uint32_t> writers(cells, tasks);
  for (std::uint32_t task = 0; task < tasks; ++task) {
    maker.begin({.lanes = on_vector});
    for (int read = 0; read < 5; ++read) {
      const auto which = static_cast<std::uint32_t>(numbers() % cells);
      maker.add_view(0, which * 64, cell, Tag::in);
      if (writers[which] != tasks) maker.add_producer(writers[which]);
    }
    const auto which = static_cast<std::uint32_t>(numbers() % cells);
    maker.add_view(0, which * 64, cell, Tag::out);
    writers[which] = task;
  }
  const auto graph = maker.finish(0);
  CAPTURE(graph->bytes() / tasks);
  CHECK(graph->bytes() < 128 * tasks);
}
