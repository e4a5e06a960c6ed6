#include <doctest/doctest.h>

#include <numeric>

#include "fixture.hpp"
#include "latches.hpp"

using namespace troupe;
using namespace troupe::test;

TROUPE_CHIP_PROGRAM(calls_signed)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [a, b, c] = args.tensors<3>();
  chip.aiv("signed_add", in(a), in(b), out(c), scalar(1.0f));
}
TROUPE_CHIP_PROGRAM(calls_signed_wrongly)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [a, b, c] = args.tensors<3>();
  chip.aiv("signed_add", in(a), in(b), in(c), scalar(1.0f));
}

TEST_CASE("a module kernel runs on a simulated chip: inputs go in, outputs come back") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::vector<float> a(100), b(100, 2), c(100, 0);
    std::iota(a.begin(), a.end(), 0.0f);
    const auto before = a;
    auto done = chip.run(chip.add("add"),
                         RunArgs::of(in(Tensor::host(a.data(), {100})), in(Tensor::host(b.data(), {100})),
                                     out(Tensor::host(c.data(), {100}))));
    REQUIRE(done);
    CHECK(done->chip_tasks == 1);
    for (std::size_t i = 0; i < c.size(); ++i) CHECK(c[i] == a[i] + 2);
    CHECK(a == before);
    CHECK(chip.context.status()->totals.memory_used == 0);
  }
}

TEST_CASE("launched runs complete exactly once and in order, dependents of a failed one as poisoned") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto nothing = chip.add("nothing"), throws = chip.add("throws");
    const RunArgs none;
    RunArgs after_two, after_three;
    after_two.after(2);
    after_three.after(3);
    const std::vector<troupe_run> runs{none.run(1, nothing), none.run(2, throws), after_two.run(3, nothing),
                                       after_three.run(4, nothing), none.run(5, nothing)};
    REQUIRE(chip.context.launch(runs));
    CHECK(chip.completions.wait_for(1).completion.code == 0);
    const auto failed = chip.completions.wait_for(2);
    CHECK(failed.completion.code == TROUPE_DEVICE_KERNEL_FAILED);
    CHECK(failed.message.find("'throws'") != std::string::npos);
    CHECK(failed.message.find("the tile is too large") != std::string::npos);
    for (const std::uint64_t poisoned : {3, 4}) {
      CHECK(chip.completions.wait_for(poisoned).completion.code == TROUPE_DEVICE_POISONED);
      CHECK(chip.completions.wait_for(poisoned).completion.caused_by == 2);
    }
    CHECK(chip.completions.wait_for(5).completion.code == 0);
    CHECK(chip.completions.count() == 5);
  }
}

TEST_CASE("a foreign kernel runs from its bytes, with the words of its ABI") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::vector<float> a(64, 1), b(64, 2), c(64, 0);
    const auto args = RunArgs::of(in(Tensor::host(a.data(), {64})), in(Tensor::host(b.data(), {64})),
                                  out(Tensor::host(c.data(), {64})), scalar(0.5f));
    const auto id = chip.add_foreign("foreign add", "add");
    REQUIRE(chip.run(id, args));
    CHECK(c == std::vector<float>(64, 3.5f));
    REQUIRE(chip.context.unregister_callable(id));
    CHECK(chip.run(id, args).error() == Errc::unknown_callable);
  }
}

TEST_CASE("a foreign kernel with a signature is called as it was registered") {
  Chip chip("a2a3sim");
  const auto bytes = Chip::object_bytes("add");
  const std::uint8_t signature[] = {TROUPE_TAG_IN, TROUPE_TAG_IN, TROUPE_TAG_OUT, TROUPE_SIGNATURE_SCALAR};
  troupe_callable callable{};
  callable.name = "signed_add";
  callable.bytes = bytes.data();
  callable.byte_count = bytes.size();
  callable.core_kind = TROUPE_CORE_AIV;
  callable.signature = signature;
  callable.signature_count = 4;
  const auto id = chip.context.register_callable(callable).value();
  std::vector<float> a(64, 1), b(64, 2), c(64, 0);
  const auto ta = Tensor::host(a.data(), {64}), tb = Tensor::host(b.data(), {64}),
             tc = Tensor::host(c.data(), {64});
  const auto why_not = [&](const RunArgs& args) {
    const auto failed = chip.run(id, args);
    if (failed) return std::string();
    CHECK(failed.error() == Errc::bad_task_arguments);
    return failed.error().message();
  };
  CHECK(why_not(RunArgs::of(in(ta), in(tb), out(tc), scalar(0.5f))).empty());
  CHECK(c == std::vector<float>(64, 3.5f));
  CHECK(why_not(RunArgs::of(runtime::no_dep(ta), inout(tb), inout(tc), scalar(0.5f))).empty());
  CHECK(why_not(RunArgs::of(in(ta), in(tb), in(tc), scalar(0.5f))).find("argument 2 is passed as in") !=
        std::string::npos);
  CHECK(why_not(RunArgs::of(in(ta), out(tb), out(tc), scalar(0.5f))).find("argument 1 is passed as out") !=
        std::string::npos);
  CHECK(why_not(RunArgs::of(in(ta), in(tb), out(tc))).find("3 tensors and 0 scalars") != std::string::npos);
  CHECK(why_not(RunArgs::of(in(ta), in(tb), out(tc), out(tc))).find("to be a scalar") != std::string::npos);
  // The same from a chip program.
  const auto from_program = [&](float bias) {
    return chip.run(chip.add(bias == 0 ? "calls_signed_wrongly" : "calls_signed"),
                    RunArgs::of(in(ta), in(tb), out(tc)));
  };
  CHECK(from_program(1));
  CHECK(c == std::vector<float>(64, 4));
  CHECK(from_program(0).error().code().value == 5);
  const std::uint8_t unknown[] = {17};
  callable.name = "unknown";
  callable.signature = unknown;
  callable.signature_count = 1;
  CHECK(chip.context.register_callable(callable).error() == Errc::invalid_argument);
}

TEST_CASE("a foreign kernel that throws fails its run by name, and the chip stays usable") {
  Chip chip("a2a3sim");
  const auto failed = chip.run(chip.add_foreign("tiler", "throws"), {});
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == Errc::kernel_failed);
  CHECK(failed.error().message().find("'tiler' failed on ai") != std::string::npos);  // aic0, aiv24, …
  CHECK(failed.error().message().find("no such tile") != std::string::npos);
  CHECK(chip.run(chip.add("nothing"), {}));
}

TEST_CASE("bytes that are no kernel are refused with a reason") {
  Chip chip("a2a3sim");
  const auto refuse = [&](std::vector<char> bytes) {
    troupe_callable callable{};
    callable.name = "bad";
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    auto refused = chip.context.register_callable(callable);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == Errc::bad_callable);
    return refused.error().message();
  };
  CHECK(refuse({'h', 'e', 'l', 'l', 'o'}).find("no ELF file") != std::string::npos);
  CHECK(refuse(Chip::object_bytes("not_a_kernel")).find("kernel_entry") != std::string::npos);
  auto cut = Chip::object_bytes("add");
  cut.resize(cut.size() / 2);
  CHECK(refuse(cut).find("'bad'") != std::string::npos);
}

TEST_CASE("a kernel that waits in its own memory for nobody is a deadlock, named at once") {
  Chip chip("a2a3sim");
  std::int32_t flag = 0;
  const auto stuck = chip.run(chip.add("wait_forever"), RunArgs::of(inout(Tensor::host(&flag, {1}))));
  REQUIRE_FALSE(stuck);
  CHECK(stuck.error() == Errc::deadlock);
  CHECK(stuck.error().message().find("'wait_forever'") != std::string::npos);
}

TEST_CASE("a kernel may wait for a flag that the host raises with a copy") {
  for (const char* kernel : {"wait_forever", "waits_in_a_program"}) {
    CAPTURE(kernel);
    Chip chip("a2a3sim");
    const auto flag = chip.context.malloc(sizeof(std::int32_t)).value();
    RunArgs args;
    args.add_device(inout(Tensor::create({0, 0, flag}, 4, 0, {1}, runtime::DType::i32).value()), flag);
    const auto run = args.run(1, chip.add(kernel));
    REQUIRE(chip.context.launch({&run, 1}));
    const std::int32_t raised = 1;
    REQUIRE(chip.context.copy_to(flag, &raised, sizeof raised));
    CHECK(chip.completions.wait_for(1).completion.code == 0);
  }
}

TEST_CASE("a kernel that does not return shows in status, and its context is busy until it does") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Latches latches;
    auto chip = std::make_unique<Chip>(platform, std::map<std::string, std::string>{{"grace_ms", "1"}});
    const RunArgs args = RunArgs::of(scalar(&latches));
    const std::vector<troupe_run> runs{args.run(1, chip->add("stuck")), args.run(2, chip->add("nothing"))};
    REQUIRE(chip->context.launch(runs));
    latches.entered.wait();
    const auto status = chip->context.status();
    REQUIRE(status->busy.size() == 1);
    CHECK(std::string(status->busy[0].name) == "stuck");
    CHECK(status->busy[0].correlation == 1);
    CHECK(status->busy[0].activity == TROUPE_ACTIVITY_RUNNING);
    CHECK(status->busy[0].since_ns <= chip->host->now());

    const auto closed = chip->context.close();
    REQUIRE_FALSE(closed);
    CHECK(closed.error() == Errc::busy);
    CHECK(closed.error().message().find("'stuck'") != std::string::npos);
    CHECK(chip->completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
    CHECK(chip->completions.wait_for(2).completion.code == TROUPE_DEVICE_ABORTED);
    latches.leave.open();
    latches.left.wait();
  }
}

TROUPE_CHIP_PROGRAM(stuck_writer_in_a_program)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("stuck_writer", inout(args.tensor(0)), scalar(args.scalar<std::uint64_t>(0)));
}

TEST_CASE("a chip that was given up never writes to the host again, when its kernel returns after all") {
  for (const char* platform : platforms) {
    for (const char* callable : {"stuck_writer", "stuck_writer_in_a_program"}) {
      CAPTURE(platform);
      CAPTURE(callable);
      Latches latches;
      float x = 1;
      Chip chip(platform, {{"grace_ms", "1"}});
      const RunArgs args = RunArgs::of(inout(Tensor::host(&x, {1})), scalar(&latches));
      const auto run = args.run(1, chip.add(callable));
      REQUIRE(chip.context.launch({&run, 1}));
      latches.entered.wait();
      REQUIRE_FALSE(chip.context.close());
      CHECK(chip.completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
      x = 42;  // it is ours again
      latches.leave.open();
      latches.left.wait();
      while (chip.host->sweep_quarantine() != 0) {  // each waits for the chip's threads, at most the grace
      }
      CHECK(x == 42);
    }
  }
}

// Tensor 0 comes in, tensor 1 goes out; blocks say how the kernel is run.
TROUPE_CHIP_PROGRAM(oversteps_in_a_program)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  chip.aiv("oversteps", in(x), out(y), blocks(args.scalar<std::uint32_t>(0)));
}
TROUPE_CHIP_PROGRAM(oversteps_with_a_right)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, y] = args.tensors<2>();
  chip.aiv("oversteps", in(x), out(y), inout(x));     // an alias that may be written
  chip.aiv("oversteps", inout(x), out(y));            // said so
  chip.aiv("oversteps", runtime::no_dep(x), out(y));  // wants no part in it
}

TEST_CASE("a kernel that writes to what it got as in fails by name in a checked context") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, {{"checked", "1"}});
    float x = 1, y = 0;
    const auto tensors = [&] { return RunArgs::of(in(Tensor::host(&x, {1})), out(Tensor::host(&y, {1}))); };
    const auto refused = [&](const char* callable, const RunArgs& args, std::uint32_t blocks) {
      CAPTURE(callable);
      auto run = args.run(0, chip.add(callable));
      run.blocks = blocks;
      const auto done = chip.context.run(run);
      REQUIRE_FALSE(done);
      CHECK(done.error() == Errc::kernel_failed);
      CHECK(done.error().message().find("kernel 'oversteps' wrote to tensor 0, which it got as in") !=
            std::string::npos);
    };
    refused("oversteps", tensors(), 1);
    REQUIRE(chip.context.unregister_callable(1));
    refused("oversteps", tensors(), 3);
    for (const std::uint32_t blocks : {1u, 3u}) {
      auto args = tensors();
      args.add(scalar(blocks));
      refused("oversteps_in_a_program", args, 1);
      REQUIRE(chip.context.unregister_callable(blocks == 1 ? 3 : 4));
    }
    CHECK(chip.run(chip.add("oversteps_with_a_right"), tensors()));
    CHECK(x == 1);
    // The host reads and writes such memory too: nobody can say who it was.
    const auto device = chip.context.malloc(sizeof x).value();
    RunArgs resident;
    resident.add_device(in(Tensor::create({0, 0, device}, 4, 0, {1}, runtime::DType::f32).value()), device);
    resident.add(out(Tensor::host(&y, {1})));
    CHECK(chip.run(2, resident));
  }
}

TEST_CASE("an output that a kernel does not write in full is seen in a checked context") {
  Chip chip("a2a3sim", {{"checked", "1"}});
  std::vector<float> c(4, 5);
  REQUIRE(chip.run(chip.add("first_only"), RunArgs::of(out(Tensor::host(c.data(), {4})))));
  CHECK(c[0] == 1);
  for (std::size_t i = 1; i < 4; ++i) CHECK(c[i] != c[i]);  // poisoned with a NaN
}
