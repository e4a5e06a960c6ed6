// Graphs of chip programs: submitted once, replayed from then on.
#include <doctest/doctest.h>

#include <stdexcept>

#include "platform/sim/fixture.hpp"
#include "platform/sim/latches.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::Compare;

namespace {

/// What a test and the bodies of its graphs share.
struct Watch {
  int bodies = 0;
  int choice = 0;
  Latches latches;
};
const std::map<std::string, std::string> replaying{{"checked", "0"}}, comparing{{"checked", "1"}};

/// Empty, or why it failed.
std::string failure_of(Chip& chip, std::uint64_t program, const RunArgs& args) {
  const auto done = chip.run(program, args);
  return done ? "" : done.error().message();
}

}  // namespace

// y = (x + r) * (x + r) + x
static void layer(ChipOrchestrator& chip, const Tensor& x, const Tensor& y, const GraphScalar& r) {
  const auto more = chip.aiv("add_scalar", in(x), out_like(x), r);
  const auto square = chip.aiv("mul", in(more), in(more), out_like(x));
  chip.aiv("add", in(square), in(x), out(y));
}

// Token by token: what comes out of one layer goes into the next.
TROUPE_CHIP_PROGRAM(token_by_token)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  auto& watch = *args.scalar<Watch*>(0);
  for (int token = 0; token < 5; ++token) {
    chip.graph("layer", slots(in(x), out(y), scalar(static_cast<float>(token))), [&](GraphScalars r) {
      ++watch.bodies;
      layer(chip, x, y, r[0]);
    });
    chip.graph("back", slots(in(y), out(x)), [&] {
      ++watch.bodies;
      chip.aiv("add_scalar", in(y), out(x), scalar(-1.0f));
    });
  }
}

// Slots that were made by the program, in scopes that end; parts of slots; new memory that is filled.
TROUPE_CHIP_PROGRAM(between_others)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  auto& watch = *args.scalar<Watch*>(0);
  for (int round = 0; round < 4; ++round) {
    const auto s = chip.scope();
    const Tensor own = chip.aiv("add_scalar", in(x), out_like(x), scalar(1.0f));
    chip.graph("parts", slots(inout(own), inout(y)), [&] {
      ++watch.bodies;
      for (std::uint32_t half = 0; half < 2; ++half) {
        const auto part = own.slice(0, half * 2, half * 2 + 2);
        const auto ones = chip.alloc(out_new<float>({2}).fill(1.0f));
        const auto inner = chip.scope();
        const Tensor sum = chip.aiv("add", in(part), in(ones), out_new<float>({2}));
        chip.aiv("mul", in(sum), in(ones), out(part));
      }
      chip.set(own, 100.0f, 0);
      chip.aiv("add", in(own), in(y), inout(y));
    });
    chip.aiv("add_scalar", in(own), out(x), scalar(0.0f));
  }
}

TROUPE_CHIP_PROGRAM(of_its_arguments)(ChipOrchestrator& chip, ChipArgs args) {
  for (int round = 0; round < 3; ++round) {
    chip.graph("all", args, [&](GraphScalars r) {
      ++args.scalar<Watch*>(1)->bodies;
      chip.aiv("add_scalar", in(args.tensor(0)), inout(args.tensor(1)), r[0]);
      chip.aiv("add_scalar", in(args.tensor(1)), inout(args.tensor(0)), r[0]);
    });
  }
}

// Which tasks run is seen when they are about to.
TROUPE_CHIP_PROGRAM(by_predicates)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [flags, seen] = args.tensors<2>();
  for (std::uint32_t round = 0; round < 4; ++round) {
    const auto flag = flags.slice(0, round, round + 1);
    chip.graph("choice", slots(in(flag), inout(seen)), [&] {
      chip.aiv("count_one", inout(seen.slice(0, 0, 1)), when(flag, Compare::equal, 1));
      chip.aiv("count_one", inout(seen.slice(0, 1, 2)), when(flag, Compare::greater, 1));
    });
  }
}

// Blocks, sets that start together, clusters, tasks without work.
TROUPE_CHIP_PROGRAM(in_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [seen, met, word] = args.tensors<3>();
  for (std::int32_t round = 0; round < 3; ++round) {
    chip.graph("sets",
               slots(inout(seen), inout(met), inout(word), scalar(7 * round + 4), scalar(7 * round + 7)),
               [&](GraphScalars r) {
                 const auto first = chip.aiv("count_blocks", inout(seen), blocks(8));
                 const auto both = chip.dummy(in(seen), in(met), after(first));
                 chip.aiv("meet", inout(met), inout(word), r[0], blocks(4), sync_start, after(both));
                 chip.mixed({"meet", "meet", "meet"}, inout(met), inout(word), r[1]);
               });
  }
}

TROUPE_CHIP_PROGRAM(one_of_many)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [whole, y] = args.tensors<2>();
  const auto x = whole.slice(0, 0, 4);
  auto& watch = *args.scalar<Watch*>(0);
  const auto wrong = args.scalar<std::string_view*>(1);
  const auto body = [&] { chip.aiv("add", in(x), in(x), out(y)); };
  // One that is right comes before the one that is not.
  const auto at = [&](const auto& given, const auto& what) { chip.graph("one", given, what); };
  if (*wrong != "first") at(slots(in(x), out(y)), body);
  const auto half = x.slice(0, 0, 2);
  if (*wrong == "number") at(slots(in(x), in(x), out(y)), body);
  if (*wrong == "scalars") at(slots(in(x), out(y), scalar(1.0f)), body);
  if (*wrong == "shape") at(slots(in(half), out(y)), body);
  if (*wrong == "strides") {
    const auto gaps =
        Tensor::create_strided(x.buffer(), x.buffer_bytes(), x.byte_offset(), {4}, {2}, x.dtype()).value();
    at(slots(in(gaps), out(y)), body);
  }
  if (*wrong == "tag") at(slots(in(x), inout(y)), body);
  if (*wrong == "aliases") at(slots(in(y), out(y)), body);
  if (*wrong == "place") chip.graph("one", slots(in(x), out(y)), body);
  if (*wrong == "reads") {
    chip.graph("reads", slots(in(x), out(y)), [&] {
      body();
      if (chip.get<float>(y, 0) > 0) body();
    });
  }
  if (*wrong == "not given") chip.graph("not given", slots(out(y)), body);
  if (*wrong == "only read") chip.graph("only read", slots(in(x), in(y)), body);
  if (*wrong == "inside") {
    chip.graph("outer", slots(in(x), out(y)), [&] { chip.graph("inner", slots(in(x), out(y)), body); });
  }
  if (*wrong == "after") {
    const auto before = chip.aiv("nothing");
    chip.graph("after", slots(in(x), out(y)), [&] { chip.aiv("add", in(x), in(x), out(y), after(before)); });
  }
  if (*wrong == "stale") {
    Tensor gone;
    {
      const auto s = chip.scope();
      gone = chip.aiv("add", in(x), in(x), out_like(x)).outputs[0];
      chip.graph("stale", slots(in(gone), out(y)), [&] { chip.aiv("add", in(gone), in(gone), out(y)); });
    }
    chip.graph("stale", slots(in(gone), out(y)), [&] { ++watch.bodies; });
  }
  if (*wrong == "escaped") {
    Tensor made;
    chip.graph("escaped", slots(in(x)),
               [&] { made = chip.aiv("add", in(x), in(x), out_like(x)).outputs[0]; });
    chip.aiv("add", in(made), in(made), out(y));
  }
  if (*wrong == "throws") {
    chip.graph("throws", slots(in(x), out(y)), [&] {
      ++watch.bodies;
      if (watch.choice == 0) throw std::runtime_error("not today");
      body();
    });
  }
}

TROUPE_CHIP_PROGRAM(with_a_number_of_its_own)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  auto& watch = *args.scalar<Watch*>(0);
  for (int round = 0; round < 3; ++round) {
    chip.graph("baked", slots(in(x), out(y)), [&] {
      chip.aiv("add", in(x), in(x), out(y));
      chip.aiv("add_scalar", in(x), out(y), scalar(static_cast<float>(watch.choice * round)));
    });
  }
}

// Kernels that fail, wait, or stay, in the middle of a graph.
TROUPE_CHIP_PROGRAM(goes_wrong_in_a_replay)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, flag] = args.tensors<2>();
  auto& watch = *args.scalar<Watch*>(0);
  const std::string_view kernel = *args.scalar<std::string_view*>(1);
  for (int round = 0; round < 2; ++round) {
    chip.graph(kernel, slots(inout(x), inout(flag), scalar(round == 0 ? 0 : watch.choice), scalar(&watch)),
               [&](GraphScalars r) {
                 chip.aiv("increment", inout(x));
                 if (kernel == "throws_when_told") chip.aiv(kernel, inout(x), r[0]);
                 if (kernel == "maybe_wait") chip.aiv(kernel, in(flag), inout(x), r[0]);
                 if (kernel == "stays_when_told") chip.aiv(kernel, inout(x), r[0], r[1]);
                 chip.aiv("increment", inout(x));
               });
  }
}
TROUPE_KERNEL(throws_when_told)(runtime::KernelArgs& k) {
  if (k.scalar<int>(0) != 0) throw std::runtime_error("as it was told");
}
TROUPE_KERNEL(stays_when_told)(runtime::KernelArgs& k) {
  if (k.scalar<int>(0) == 0) return;
  auto& watch = *k.scalar<Watch*>(1);
  watch.latches.entered.open();
  watch.latches.leave.wait();
}

// A chain, in the middle of which a kernel that was quick so far waits for what comes beside it.
TROUPE_CHIP_PROGRAM(sleeps_in_a_row)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, flag] = args.tensors<2>();
  chip.graph("row", slots(inout(x), inout(flag), scalar(args.scalar<int>(0))), [&](GraphScalars r) {
    for (int i = 0; i < 10; ++i) chip.aiv("increment", inout(x));
    const Tensor waited = chip.aiv("maybe_wait", runtime::no_dep(flag), in(x), out_like(x), r[0]);
    chip.aiv("add_scalar", in(x), inout(waited), scalar(0.0f));
    for (int i = 0; i < 10; ++i) chip.aiv("increment", inout(waited));
    const Tensor beside = chip.aiv("add_scalar", in(x), out_like(x), scalar(0.0f));
    chip.aiv("raise", runtime::no_dep(flag), in(beside));
    chip.aiv("add", in(waited), in(beside), out(x));
  });
}

TROUPE_CHIP_PROGRAM(of_a_registered_kernel)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  chip.graph("registered", slots(in(x), out(y)), [&] {
    ++args.scalar<Watch*>(0)->bodies;
    chip.aiv("from_bytes", in(x), in(x), out(y));
  });
}

TEST_CASE("a graph is submitted once and replayed with what it is given, also in later runs") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, replaying);
    const auto program = chip.add("token_by_token");
    Watch watch;
    for (int run = 0; run < 3; ++run) {
      std::vector<float> x(64, 0.5f), y(64), expected(64, 0.5f);
      for (int token = 0; token < 5; ++token) {
        for (auto& value : expected) {
          const float more = value + static_cast<float>(token);
          value = more * more + value - 1.0f;
        }
      }
      REQUIRE(failure_of(chip, program,
                         RunArgs::of(inout(Tensor::host(x.data(), {64})), out(Tensor::host(y.data(), {64})),
                                     scalar(&watch))) == "");
      CHECK(x == expected);
      CHECK(watch.bodies == 2);
    }
  }
}

TEST_CASE("a chip that checks runs the body each time, with the same results") {
  Chip chip("a2a3sim", comparing);
  Watch watch;
  std::vector<float> x(64, 0.5f), y(64);
  const auto program = chip.add("token_by_token");
  REQUIRE(failure_of(chip, program,
                     RunArgs::of(inout(Tensor::host(x.data(), {64})), out(Tensor::host(y.data(), {64})),
                                 scalar(&watch))) == "");
  CHECK(watch.bodies == 10);
}

TEST_CASE("graphs use what the program made, parts of it, and memory of their own") {
  for (const auto& options : {replaying, comparing}) {
    Chip chip("a2a3sim", options);
    const auto program = chip.add("between_others");
    Watch watch;
    for (int run = 0; run < 2; ++run) {
      std::vector<float> x{1, 2, 3, 4}, y(4, 0), expected_x = x, expected_y = y;
      for (int round = 0; round < 4; ++round) {
        for (std::size_t i = 0; i < 4; ++i) {
          expected_x[i] = i == 0 ? 100.0f : expected_x[i] + 2;
          expected_y[i] += expected_x[i];
        }
      }
      REQUIRE(failure_of(chip, program,
                         RunArgs::of(inout(Tensor::host(x.data(), {4})), inout(Tensor::host(y.data(), {4})),
                                     scalar(&watch))) == "");
      CHECK(x == expected_x);
      CHECK(y == expected_y);
    }
    CHECK(watch.bodies == (options == replaying ? 1 : 8));
  }
}

TEST_CASE("the arguments of a program are the slots of its graph") {
  Chip chip("a5sim", replaying);
  const auto program = chip.add("of_its_arguments");
  Watch watch;
  std::vector<float> x(8, 0), y(8, 0);
  for (const float r : {1.0f, 10.0f}) {
    REQUIRE(failure_of(chip, program,
                       RunArgs::of(inout(Tensor::host(x.data(), {8})), inout(Tensor::host(y.data(), {8})),
                                   scalar(r), scalar(&watch))) == "");
  }
  CHECK(x == std::vector<float>(8, 66));
  CHECK(watch.bodies == 1);
}

TEST_CASE("predicates of tasks in a graph hold or do not at each replay") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("by_predicates");
  std::vector<std::int32_t> flags{0, 1, 2, 1}, seen{0, 0};
  REQUIRE(failure_of(
              chip, program,
              RunArgs::of(in(Tensor::host(flags.data(), {4})), inout(Tensor::host(seen.data(), {2})))) == "");
  CHECK(seen == std::vector<std::int32_t>{2, 1});
}

TEST_CASE("blocks, sets and clusters are replayed") {
  for (const char* platform : platforms) {
    Chip chip(platform, replaying);
    const auto program = chip.add("in_blocks");
    for (int run = 0; run < 3; ++run) {
      std::vector<std::int32_t> seen(8, 0), met(1, 0), word(1, 0);
      REQUIRE(
          failure_of(chip, program,
                     RunArgs::of(inout(Tensor::host(seen.data(), {8})), inout(Tensor::host(met.data(), {1})),
                                 inout(Tensor::host(word.data(), {1})))) == "");
      CHECK(seen == std::vector<std::int32_t>(8, 3));
      CHECK(word[0] == 21);
    }
  }
}

TEST_CASE("what cannot be replayed, or does not fit, is refused with the graph and the place") {
  struct Case {
    const char* wrong;
    const char* said;
  };
  const Case cases[] = {
      {"number", "it takes 2 tensors and 0 scalars, and is given 3 and 0"},
      {"scalars", "it takes 2 tensors and 0 scalars, and is given 2 and 1"},
      {"shape", "its tensor 0 was f32[4]"},
      {"strides", "its tensor 0 was f32[4], and is f32[4] strides [2]"},
      {"tag", "its tensor 1 was given as out, and is given as inout"},
      {"aliases", "share bytes in another way"},
      {"place", "it was recorded at"},
      {"reads", "behind task 0, 'add', reads an element of f32[4]"},
      {"not given", "tensor argument 0 of its task 0, 'add', is neither a part of what was given"},
      {"only read", "tensor argument 2 of its task 0, 'add', is written, and was given to it as in"},
      {"inside", "it is begun inside of graph 'outer'"},
      {"after", "its task 0, 'add', comes after a task outside of it"},
      {"stale", ""},
      {"escaped", ""},
  };
  for (const auto& options : {replaying, comparing}) {
    Chip chip("a2a3sim", options);
    const auto program = chip.add("one_of_many");
    Watch watch;
    for (const auto& [wrong, said] : cases) {
      CAPTURE(wrong);
      std::vector<float> x(8, 1), y(4, 7);
      std::string_view which = wrong;
      const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {4})),
                                    scalar(&watch), scalar(&which));
      const auto failed = chip.run(program, args);
      REQUIRE_FALSE(failed);
      const auto& text = failed.error().message();
      CAPTURE(text);
      CHECK(text.find(said) != std::string::npos);
      if (*said != '\0') CHECK(text.find("kept_graphs_test.cpp:") != std::string::npos);
      CHECK(y == std::vector<float>(4, 7));
      which = "";
      REQUIRE(failure_of(chip, program, args) == "");  // the chip goes on
      CHECK(y == std::vector<float>(4, 2));
    }
    CHECK(watch.bodies == 0);
  }
}

TEST_CASE("a graph whose body threw is recorded by the next run") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("one_of_many");
  Watch watch;
  std::vector<float> x(8, 1), y(4, 7);
  std::string_view which = "throws";
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {4})),
                                scalar(&watch), scalar(&which));
  const auto failed = chip.run(program, args);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message().find("not today") != std::string::npos);
  watch.choice = 1;
  REQUIRE(failure_of(chip, program, args) == "");
  REQUIRE(failure_of(chip, program, args) == "");
  CHECK(watch.bodies == 2);
  CHECK(y == std::vector<float>(4, 2));
}

TEST_CASE("a number that changes without being a slot is told by a chip that checks") {
  Watch watch;
  std::vector<float> x(4, 1), y(4);
  const auto args =
      RunArgs::of(in(Tensor::host(x.data(), {4})), out(Tensor::host(y.data(), {4})), scalar(&watch));
  Chip checked("a2a3sim", comparing);
  const auto program = checked.add("with_a_number_of_its_own");
  REQUIRE(checked.run(program, args));
  watch.choice = 3;
  const auto failed = checked.run(program, args);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message().find("its task 1 differs from what was recorded") != std::string::npos);
  Chip chip("a2a3sim", replaying);
  REQUIRE(failure_of(chip, chip.add("with_a_number_of_its_own"), args) == "");
  CHECK(y == std::vector<float>(4, 1));  // as it was recorded
}

TEST_CASE("a failure in the middle of a replay names the task, and the next run is fine") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("goes_wrong_in_a_replay");
  Watch watch;
  std::string_view kernel = "throws_when_told";
  for (int run = 0; run < 20; ++run) {
    std::vector<float> x(4, 0);
    std::int32_t flag = 0;
    const auto args = RunArgs::of(inout(Tensor::host(x.data(), {4})), inout(Tensor::host(&flag, {1})),
                                  scalar(&watch), scalar(&kernel));
    watch.choice = run % 2;
    const auto done = chip.run(program, args);
    CHECK(done.has_value() == (run % 2 == 0));
    if (done) {
      CHECK(x[0] == 4);
      continue;
    }
    CHECK(done.error() == Errc::kernel_failed);
    const auto& text = done.error().message();
    CAPTURE(text);
    CHECK(text.find("task \"throws_when_told\" (number 1 of 3) of graph \"throws_when_told\" failed") !=
          std::string::npos);
    CHECK(text.find("as it was told") != std::string::npos);
    CHECK(x[0] == 0);
  }
}

TEST_CASE("a wait in a replay that nobody can end is a deadlock") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("goes_wrong_in_a_replay");
  Watch watch;
  std::string_view kernel = "maybe_wait";
  for (int run = 0; run < 10; ++run) {
    std::vector<float> x(4, 0);
    std::int32_t flag = 0;
    watch.choice = run % 2;
    const auto done =
        chip.run(program, RunArgs::of(inout(Tensor::host(x.data(), {4})), inout(Tensor::host(&flag, {1})),
                                      scalar(&watch), scalar(&kernel)));
    CHECK(done.has_value() == (run % 2 == 0));
    if (!done) CHECK(done.error() == Errc::deadlock);
  }
}

TEST_CASE("a kernel that goes to sleep in a row of a replay leaves the others to run") {
  for (int round = 0; round < 20; ++round) {
    Chip chip("a2a3sim", replaying);
    const auto program = chip.add("sleeps_in_a_row");
    for (const int waits : {0, 0, 0, 0, 1, 1, 0}) {
      std::vector<float> x(4, 1);
      std::int32_t flag = 0;
      REQUIRE(failure_of(chip, program,
                         RunArgs::of(inout(Tensor::host(x.data(), {4})), inout(Tensor::host(&flag, {1})),
                                     scalar(waits))) == "");
      CHECK(x == std::vector<float>(4, 32));
      CHECK(flag == 1);
    }
  }
}

TEST_CASE("a run is aborted in the middle of a replay") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("goes_wrong_in_a_replay");
  std::string_view kernel = "stays_when_told";
  std::uint64_t correlation = 0;
  for (int round = 0; round < 5; ++round) {
    Watch watch;
    watch.choice = 1;
    std::vector<float> x(4, 0);
    std::int32_t flag = 0;
    const auto args = RunArgs::of(inout(Tensor::host(x.data(), {4})), inout(Tensor::host(&flag, {1})),
                                  scalar(&watch), scalar(&kernel));
    const auto run = args.run(++correlation, program);
    chip.context.launch({&run, 1}).value();
    watch.latches.entered.wait();
    chip.context.abort(correlation).value();
    watch.latches.leave.open();
    CHECK(chip.completions.wait_for(correlation).completion.code == TROUPE_DEVICE_ABORTED);
    CHECK(x[0] == 0);
    watch.choice = 0;
    REQUIRE(failure_of(chip, program, args) == "");
    CHECK(x[0] == 4);
  }
}

TEST_CASE("a name that means another kernel by now is not replayed as the old one") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("of_a_registered_kernel");
  Watch watch;
  std::vector<float> x(8, 3), y(8);
  const auto args =
      RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})), scalar(&watch));
  auto kernel = chip.add_foreign("from_bytes", "add");
  REQUIRE(failure_of(chip, program, args) == "");
  REQUIRE(failure_of(chip, program, args) == "");
  CHECK(y == std::vector<float>(8, 6));
  CHECK(watch.bodies == 1);
  chip.context.unregister_callable(kernel).value();
  CHECK_FALSE(chip.run(program, args));
  kernel = chip.add_foreign("from_bytes", "throws");
  CHECK_FALSE(chip.run(program, args));
  chip.context.unregister_callable(kernel).value();
  chip.add_foreign("from_bytes", "add");
  REQUIRE(failure_of(chip, program, args) == "");
  CHECK(y == std::vector<float>(8, 6));
}

TEST_CASE("a trace of a replay has its tasks and what they waited for") {
  Chip chip("a2a3sim", replaying);
  const auto program = chip.add("token_by_token");
  Watch watch;
  std::vector<float> x(64, 0.5f), y(64);
  const auto args =
      RunArgs::of(inout(Tensor::host(x.data(), {64})), out(Tensor::host(y.data(), {64})), scalar(&watch));
  REQUIRE(failure_of(chip, program, args) == "");
  auto run = args.run(0, program);
  run.flags = TROUPE_RUN_PROFILE;
  REQUIRE(chip.context.run(run));
  const std::lock_guard lock(chip.mutex);
  CHECK(chip.trace.size() == 5 * 4 + 1);  // with the program itself
  std::size_t waited = 0;
  for (const auto& [task, producers] : chip.producers_of) waited += producers.empty() ? 0 : 1;
  CHECK(waited == 5 * 2);
}

TEST_CASE("on a chip that knows no graphs a graph is the tasks of its body, in a scope") {
  struct Old {
    std::vector<std::string> said;
    static Old& of(void* self) { return *static_cast<Old*>(self); }
  } old;
  troupe_chip_ops_v1 ops{};
  ops.size = offsetof(troupe_chip_ops_v1, begin_graph);
  ops.submit = [](void* self, troupe_chip_task_v1* task) -> std::uint64_t {
    Old::of(self).said.emplace_back(task->kernels[TROUPE_CHIP_AIV0],
                                    task->kernel_name_sizes[TROUPE_CHIP_AIV0]);
    return 1;
  };
  ops.begin_scope = [](void* self) { Old::of(self).said.emplace_back("begin"); };
  ops.end_scope = [](void* self) { Old::of(self).said.emplace_back("end"); };
  ops.fatal = [](void*) { return 0; };
  const troupe_chip_v1 handle{&ops, &old};
  ChipOrchestrator chip(handle);
  for (int round = 0; round < 2; ++round) {
    chip.graph("layer", slots(scalar(2.0f)), [&](GraphScalars r) { chip.aiv("add_scalar", r[0]); });
  }
  CHECK(old.said == std::vector<std::string>{"begin", "add_scalar", "end", "begin", "add_scalar", "end"});
}
