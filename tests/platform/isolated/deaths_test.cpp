// What kernels do to their process, and what is heard of it.
#include <signal.h>

#include <thread>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

TEST_CASE("an isolated chip runs kernels on the host's tensors") {
  IsolatedChip chip;
  std::vector<float> x(1000, 1.0F);
  const auto add = chip.kernel("isolated_add");
  const auto args =
      RunArgs::of(runtime::inout(runtime::Tensor::host(x.data(), {1000})), runtime::scalar(2.0F));
  const auto first = chip.launch(add, args), second = chip.launch(add, args);
  CHECK(chip.end_of(first).code == 0);
  CHECK(chip.end_of(second).code == 0);
  CHECK(x.front() == 5.0F);
  CHECK(x.back() == 5.0F);
  CHECK(chip.process() != ::getpid());
}

TEST_CASE("a kernel that crashes ends its chip, and the end of its run names it") {
  IsolatedChip chip;
  const auto process = chip.process();
  const auto run = chip.launch(chip.kernel("isolated_crash"), {}, "the bad task");
  const auto end = chip.end_of(run);
  CHECK(end.code == TROUPE_DEVICE_LOST);
  CHECK_MESSAGE(contains(end.message, "test/chip0"), end.message);
  CHECK_MESSAGE(contains(end.message, "isolated_crash"), end.message);
  CHECK_MESSAGE(contains(end.message, "the bad task"), end.message);
  CHECK_FALSE(is_there(process));
  const auto late = chip.context->malloc(64);
  REQUIRE_FALSE(late);
  CHECK(late.error() == platform::Errc::lost);
  CHECK(chip.context->status().value().totals.state == TROUPE_STATE_LOST);
  CHECK(contains(chip.lost(), "isolated_crash"));
}

TEST_CASE("a kernel that exits, aborts, or is killed ends its chip with a sentence") {
  for (const auto& [kernel, word] :
       {std::pair("isolated_exit", "exited with code 7"), std::pair("isolated_abort", "SIGABRT"),
        std::pair("isolated_crash_if", "killed by signal 9")}) {
    CAPTURE(kernel);
    const std::string once = built("tests/platform/isolated/once-" + std::to_string(::getpid()));
    ::setenv("TROUPE_TEST_CRASH_ONCE", once.c_str(), 1);
    IsolatedChip chip;
    const auto end = chip.end_of(chip.launch(chip.kernel(kernel), {}, "task"));
    std::filesystem::remove(once);
    CHECK(end.code == TROUPE_DEVICE_LOST);
    CHECK_MESSAGE(contains(end.message, word), end.message);
    CHECK_MESSAGE(contains(end.message, kernel), end.message);
  }
}

TEST_CASE("what waits behind a kernel that crashes ends with it, each run once") {
  IsolatedChip chip;
  const auto nothing = chip.kernel("isolated_nothing");
  std::vector<std::uint64_t> runs;
  runs.push_back(chip.launch(chip.kernel("isolated_crash")));
  for (int i = 0; i < 20; ++i) runs.push_back(chip.launch(nothing));
  for (const auto run : runs) CHECK(chip.end_of(run).code == TROUPE_DEVICE_LOST);
  const auto status = chip.context->status().value();
  CHECK(status.totals.runs_completed == runs.size());
  CHECK(status.totals.runs_failed == runs.size());
}

TEST_CASE("a chip whose process died comes back with a reset, with its options") {
  IsolatedChip chip(Options{{"grace_ms", "200"}});
  const auto first = chip.process();
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  const auto second = chip.process();
  CHECK(first != second);
}

TEST_CASE("a kernel that does not return is ended by a reset, and nothing is in quarantine") {
  IsolatedChip chip(Options{{"grace_ms", "50"}});
  const auto process = chip.process();
  const auto run = chip.launch(chip.kernel("isolated_loop"));
  while (chip.context->status().value().busy.empty()) {
  }
  chip.context->abort(run).value();
  CHECK(chip.context->reset_device());
  CHECK(chip.end_of(run).code == TROUPE_DEVICE_ABORTED);
  CHECK_FALSE(is_there(process));
  chip.context->set_device(0).value();
  CHECK(chip.process() != process);
}

TEST_CASE("closing a chip with a kernel that does not return ends the process") {
  std::int64_t process = 0;
  {
    IsolatedChip chip(Options{{"grace_ms", "50"}});
    process = chip.process();
    (void)chip.launch(chip.kernel("isolated_loop"));
    CHECK(chip.context->close());
  }
  CHECK_FALSE(is_there(process));
}

TEST_CASE("a stopped process is given up when it does not answer") {
  IsolatedChip chip(Options{{"silence_ms", "3000"}, {"grace_ms", "50"}});
  const auto process = chip.process();
  const auto run = chip.launch(chip.kernel("isolated_stop"), {}, "sleeper");
  // Every thread stops, and nothing says so.
  while (chip.context->malloc(64)) {
  }
  const auto end = chip.end_of(run);
  CHECK(end.code == TROUPE_DEVICE_LOST);
  CHECK_MESSAGE(contains(end.message, "did not answer"), end.message);
  CHECK_MESSAGE(contains(end.message, "isolated_stop"), end.message);
  CHECK_FALSE(is_there(process));
}

TEST_CASE("the status of a stopped process comes without it, and tells what it was inside of") {
  IsolatedChip chip(Options{{"grace_ms", "50"}});
  const auto process = chip.process();
  const auto run = chip.launch(chip.kernel("isolated_loop"));
  while (chip.context->status().value().busy.empty()) {
  }
  REQUIRE(::kill(static_cast<pid_t>(process), SIGSTOP) == 0);
  const auto status = chip.context->status().value();
  REQUIRE(status.busy.size() == 1);
  CHECK(std::string(status.busy[0].name) == "isolated_loop");
  CHECK(status.busy[0].correlation == run);
  CHECK(status.totals.state == TROUPE_STATE_READY);
  CHECK(chip.context->close());
  CHECK(chip.end_of(run).code == TROUPE_DEVICE_ABORTED);
}

TEST_CASE("a kernel that writes on the process's socket ends its chip and harms nobody") {
  for (const std::int32_t byte : {0, 0x54, 255}) {
    IsolatedChip chip;
    const auto end =
        chip.end_of(chip.launch(chip.kernel("isolated_garbage"), RunArgs::of(runtime::scalar(byte))));
    CHECK(end.code == TROUPE_DEVICE_LOST);
    CHECK_MESSAGE(contains(end.message, "something wrong"), end.message);
  }
}

TEST_CASE("a kernel that closes the process's socket ends its chip") {
  IsolatedChip chip(Options{{"silence_ms", "3000"}});
  const auto run = chip.launch(chip.kernel("isolated_closes"));
  // Nothing more can be heard of it.
  while (chip.context->malloc(64)) {
  }
  CHECK(chip.end_of(run).code == TROUPE_DEVICE_LOST);
}

TEST_CASE("a kernel that closes all its process's descriptors ends its chip at once, and is named") {
  for (const std::int32_t stays : {1, 0}) {
    CAPTURE(stays);
    IsolatedChip chip;
    const auto run = chip.launch(chip.kernel("isolated_closes_all"), RunArgs::of(runtime::scalar(stays)),
                                 "the closing one");
    const auto end = chip.end_of(run);  // nobody asks it anything
    CHECK(end.code == TROUPE_DEVICE_LOST);
    CHECK_MESSAGE(contains(end.message, "closed its connection to the program"), end.message);
    if (stays != 0) CHECK_MESSAGE(contains(end.message, "'the closing one'"), end.message);
  }
}

TEST_CASE("what a kernel has started ends with its process") {
  std::vector<std::int64_t> number(1);
  {
    IsolatedChip chip;
    const auto run = chip.launch(chip.kernel("isolated_leaves_children"),
                                 RunArgs::of(runtime::out(runtime::Tensor::host(number.data(), {1}))));
    REQUIRE(chip.end_of(run).code == 0);
    CHECK(is_there(number[0]));
  }
  // It was killed; whoever inherits it may take a moment to bury it.
  while (is_there(number[0])) std::this_thread::yield();
}
