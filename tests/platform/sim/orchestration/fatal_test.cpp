// How orchestrations end that cannot go on: the numbers are those of the other system.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "orchestration/scenario.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// A limit of the environment that chips read when they are made.
class Limit {
 public:
  Limit(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Limit() { unsetenv(name_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("the first code that is reported is the run's, nothing comes back, and the next run works") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.code(reports, 42) == 42);
    CHECK(chip.message.find("told to, with 12") != std::string::npos);
    CHECK(chip.y == all(0));
    CHECK(chip.code(reports, 9) == 9);
    CHECK(chip.code(reports, 0) == 9);
    CHECK(chip.code(reports, -5) == 9);
    chip.runs(early);
    CHECK(chip.y == all(6));
  });
}

TEST_CASE("arguments that no task can have are code 5, with a sentence") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.code(bad_arguments) == 5);
    CHECK(chip.message.find("a tensor behind scalars") != std::string::npos);
    CHECK(chip.code(no_blocks) == 5);
    CHECK(chip.code(no_kernel) == 5);
    CHECK(chip.code(bad_allocation) == 5);
    CHECK(chip.code(too_many_arguments) == 5);
    CHECK(chip.message.find("33 tensors") != std::string::npos);
    CHECK(chip.code(unbegun_scope) == 5);
  });
}

TEST_CASE("a kernel that nobody brought is named") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.code(unknown_kernel) == static_cast<std::int32_t>(Errc::unknown_callable));
    CHECK(chip.message.find("kernel 900") != std::string::npos);
  });
}

TEST_CASE("scopes nest 64 deep, manual ones inside each other, automatic ones not inside manual ones") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.code(automatic_in_manual) == 5);
    chip.runs(manual_in_manual);
    CHECK(chip.y == all(6));
    chip.runs(deep_scopes);
    CHECK(chip.code(too_deep_scopes) == 5);
  });
}

TEST_CASE("memory comes back when scopes end, and what is full and never gets free is code 2") {
  const Limit heap("PTO2_RING_HEAP", "16384");
  for (const auto* platform : platforms) {
    Scenarios chip(platform, "tmr");
    chip.runs(memory_again);
    CHECK(chip.y == all(3 + 2 + 199));
    CHECK(chip.code(memory_gone) == 2);
    CHECK(Scenarios(platform, "hbg").code(memory_again) == 2);
  }
}

TEST_CASE("a scope takes fewer tasks than its window, and a graph before launch no more than that") {
  const Limit window("PTO2_RING_TASK_WINDOW", "8");
  for (const auto* platform : platforms) {
    Scenarios tensormap(platform, "tmr");
    tensormap.runs(many_tasks, 7);
    CHECK(tensormap.code(many_tasks, 8) == 1);
    Scenarios host_graph(platform, "hbg");
    host_graph.runs(many_tasks, 8);
    CHECK(host_graph.code(many_tasks, 9) == 3);
  }
}

TEST_CASE("each scope depth may have a window and a heap of its own") {
  {
    const Limit windows("PTO2_RING_TASK_WINDOW", "8,64,8,8");
    Scenarios chip("a2a3sim", "tmr");
    CHECK(chip.code(many_tasks, 8) == 1);
    chip.runs(many_tasks_inside, 63);
    CHECK(chip.code(many_tasks_inside, 64) == 1);
  }
  const Limit heaps("PTO2_RING_HEAP", "1024,16384,1024,1024");
  Scenarios chip("a2a3sim", "tmr");
  chip.runs(memory_again);  // of scopes
  CHECK(chip.code(memory_gone) == 2);
}

TEST_CASE(
    "ring sizes behind a packed callable hold for its runs alone, also when they are larger than the "
    "chip's") {
  struct Rings {
    std::uint64_t windows[4], heaps[4], pools[4];
  };
  const auto code = [](Scenarios& chip, const Rings& rings, const RunArgs& arguments) {
    auto bytes = tests::pack_orchestration(
        object_file(chip.is_host_graph ? "scenarios_hbg" : "scenarios_tmr"), "aicpu_orchestration_entry", {},
        {{0, tests::pack_kernel(object_file("linear"), {})}});
    const auto at = bytes.size();
    bytes.resize(at + sizeof rings);
    std::memcpy(bytes.data() + at, &rings, sizeof rings);
    for (const char letter : std::string("TRRINGS1")) bytes.push_back(letter);
    const auto callable = chip.add_bytes("with rings", bytes);
    const auto done = chip.run(callable, arguments);
    REQUIRE(chip.context.unregister_callable(callable).has_value());
    return done ? 0 : done.error().code().value;
  };
  const Limit heap("PTO2_RING_HEAP", "16384");
  for (const auto* platform : platforms) {
    Scenarios tensormap(platform, "tmr");
    CHECK(code(tensormap, {.windows = {8, 8, 8, 8}, .heaps = {}, .pools = {}},
               tensormap.args(many_tasks, 8)) == 1);
    tensormap.runs(many_tasks, 8);
    CHECK(tensormap.code(memory_gone) == 2);
    constexpr std::uint64_t large = 1 << 20;
    CHECK(code(tensormap, {.windows = {}, .heaps = {large, large, large, large}, .pools = {}},
               tensormap.args(memory_gone)) == 0);
    CHECK(tensormap.code(memory_gone) == 2);
    tensormap.runs(memory_again);
    for (const Rings& wrong :
         {Rings{.windows = {7}, .heaps = {}, .pools = {}}, Rings{.windows = {}, .heaps = {1023}, .pools = {}},
          Rings{.windows = {}, .heaps = {}, .pools = {3}}}) {
      CHECK(code(tensormap, wrong, tensormap.args(many_tasks, 2)) ==
            static_cast<std::int32_t>(runtime::Errc::invalid_call_config));
    }
    Scenarios host_graph(platform, "hbg");
    CHECK(code(host_graph, {.windows = {8, 8, 8, 8}, .heaps = {}, .pools = {}},
               host_graph.args(many_tasks, 9)) == 3);
    host_graph.runs(many_tasks, 9);
  }
}

TEST_CASE("an orchestration that asks whether to go on is told when its run is aborted") {
  everywhere([](Scenarios& chip) {
    std::int32_t started = 0;
    std::int32_t* where = &started;
    const RunArgs arguments = chip.args(until_fatal, where);
    const troupe_run asked = arguments.run(1, chip.callable);
    REQUIRE(chip.context.launch({&asked, 1}).has_value());
    while (std::atomic_ref(started).load(std::memory_order_acquire) == 0) std::this_thread::yield();
    REQUIRE(chip.context.abort(1).has_value());
    CHECK(chip.completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
  });
}

TEST_CASE("an exception of an orchestration is the run's error") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.code(throws) == static_cast<std::int32_t>(Errc::kernel_failed));
    CHECK(chip.message.find("an assertion of its own") != std::string::npos);
  });
}

TEST_CASE("deferred completions that cannot be have their numbers") {
  constexpr std::int64_t counter = 0, event = 1, handle = 2, own_word = 0, nowhere = 1;
  everywhere([](Scenarios& chip) {
    const auto code = [&](std::int64_t type, std::int64_t expected, std::int64_t entries,
                          std::int64_t address) {
      return chip.code(deferred, type, std::int64_t{0}, expected, entries, address);
    };
    chip.notes[1] = 1;
    CHECK(code(counter, 1, 1, own_word) == 0);
    CHECK(chip.notes[0] == 1);
    CHECK(code(counter, 1, 1, nowhere) == 101);
    CHECK(code(event, 0, 1, own_word) == 101);
    CHECK(code(handle, 1, 1, own_word) == 101);
    CHECK(code(counter, 1, 65, own_word) == 102);
    CHECK(code(counter, 2, 1, own_word) == 100);
  });
}

TEST_CASE("a run with fewer arguments than an orchestration asks for is refused, one with more is not") {
  for (const auto* platform : platforms) {
    Orchestrations chip(platform);
    const auto chain = chip.add_packed("chain", "tmr", {{0, "linear"}, {7, "linear"}}, {1, 2, 0});
    std::vector<float> x(32, 3.0f), y(32, 0.0f);
    const auto from = Tensor::host(x.data(), {32}), to = Tensor::host(y.data(), {32});
    const auto few = chip.run(chain, RunArgs::of(in(from), out(to)));
    REQUIRE_FALSE(few.has_value());
    CHECK(few.error() == Errc::bad_task_arguments);
    CHECK(chip.run(chain, RunArgs::of(in(from), out(to), scalar(0.5f), scalar(1))).has_value());
    const auto wrong = chip.run(chain, RunArgs::of(in(from), in(to), scalar(0.5f)));
    REQUIRE_FALSE(wrong.has_value());
    CHECK(wrong.error() == Errc::bad_task_arguments);
  }
}
