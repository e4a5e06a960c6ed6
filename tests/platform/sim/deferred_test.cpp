// Foreign kernels that leave their completion to a word in memory: the task goes on being one until the word
// says so, its core does not.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "domain.hpp"
#include "troupe/runtime/kernel_abi.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::DeferredCompletion;
using runtime::KernelArgs;
using runtime::no_dep;

namespace {

constexpr std::int64_t counter = DeferredCompletion::counter, event = DeferredCompletion::event_record;

/// What `defers` is told after its tensors.
struct Told {
  std::int64_t type = counter, engine = 0, expected = 1, entries = 1, address = 0;
};
void defer(ChipOrchestrator& chip, const auto& tensor, const auto& word, Told told) {
  chip.aiv("defers", out(tensor), no_dep(word), scalar(told.type), scalar(told.engine), scalar(told.expected),
           scalar(told.entries), scalar(told.address));
}
RunArgs args_of(std::int32_t& written, std::int32_t& word, Told told) {
  return RunArgs::of(out(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})), scalar(told.type),
                     scalar(told.engine), scalar(told.expected), scalar(told.entries), scalar(told.address));
}

struct Foreign : Chip {
  explicit Foreign(const std::string& platform, const std::map<std::string, std::string>& options = {})
      : Chip(platform, options), defers(add_foreign("defers", "defers")) {
    add_foreign("raises", "raises");
  }
  std::uint64_t defers;
};

constexpr std::int64_t once = 0, and_stay = 1;

}  // namespace

// (what was deferred, the word, what somebody saw): the word as it was when the deferring task had ended.
TROUPE_KERNEL(sees_word)(KernelArgs& k) {
  k.tensor<std::int32_t>(2)[0] = std::atomic_ref(k.tensor<std::int32_t>(1)[0]).load();
}
TROUPE_KERNEL(sets_word)(KernelArgs& k) { std::atomic_ref(k.tensor<std::int32_t>(1)[0]).store(1); }

TROUPE_CHIP_PROGRAM(deferred_by_two)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [written, word, seen] = args.tensors<3>();
  defer(chip, written, word, {counter, args.scalar<std::int64_t>(0), 2});
  chip.aiv("sees_word", in(written), no_dep(word), out(seen));
  chip.aiv("raises", no_dep(word), scalar(once));
  chip.aiv("raises", no_dep(word), scalar(once));
}
TROUPE_CHIP_PROGRAM(deferred_to_one_that_stays)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [written, words] = args.tensors<2>();
  const auto second = words.view({1}, {1});
  defer(chip, written, words, {});
  chip.aiv("sets_word", in(written), no_dep(second));
  chip.aiv("raises", no_dep(words), scalar(and_stay));
}
TROUPE_CHIP_PROGRAM(deferred_more_than_cores)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [written, word] = args.tensors<2>();
  const auto count = args.scalar<std::int64_t>(0);
  for (std::int64_t i = 0; i < count; ++i)
    chip.aiv("defers", no_dep(written), no_dep(word), scalar(counter), scalar(std::int64_t{0}),
             scalar(std::int64_t{1}), scalar(std::int64_t{1}), scalar(std::int64_t{0}));
  if (args.scalar<std::int64_t>(1) != 0) chip.aiv("raises", no_dep(word), scalar(once));
}
TROUPE_CHIP_PROGRAM(deferred_in_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [written, word, seen] = args.tensors<3>();
  chip.aiv("defers", out(written), no_dep(word), scalar(counter), scalar(std::int64_t{0}),
           scalar(std::int64_t{3}), scalar(std::int64_t{64}), scalar(std::int64_t{0}), blocks(5));
  chip.aiv("sees_word", in(written), no_dep(word), out(seen));
  for (int i = 0; i < 3; ++i) chip.aiv("raises", no_dep(word), scalar(once));
}

TEST_CASE("a task that deferred its completion has ended when the counter says so, whichever engine counts") {
  for (const char* platform : platforms) {
    for (std::int64_t engine = 0; engine < 4; ++engine) {
      CAPTURE(platform);
      CAPTURE(engine);
      Foreign chip(platform);
      std::int32_t written = 0, word = 0, seen = 0;
      REQUIRE(chip.run(chip.add("deferred_by_two"),
                       RunArgs::of(out(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                                   out(Tensor::host(&seen, {1})), scalar(engine))));
      CHECK(written == 1);
      CHECK(seen == 2);
    }
  }
}

TEST_CASE("what was deferred may be completed by a kernel that goes on running") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Foreign chip(platform);
    std::int32_t written = 0, words[2] = {};
    REQUIRE(chip.run(chip.add("deferred_to_one_that_stays"),
                     RunArgs::of(out(Tensor::host(&written, {1})), inout(Tensor::host(words, {2})))));
    CHECK(words[0] == 1);
  }
}

TEST_CASE("a task that has deferred its completion holds no core") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Foreign chip(platform);
    std::int32_t written = 0, word = 0;
    const auto args = RunArgs::of(inout(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                                  scalar(std::int64_t{20}), scalar(std::int64_t{1}));
    auto run = args.run(0, chip.add("deferred_more_than_cores"));
    run.block_dim = 1;
    REQUIRE(chip.context.run(run));
    CHECK(word == 1);
  }
}

TEST_CASE("the blocks of a task defer together, each as much as it has room for") {
  Foreign chip("a2a3sim");
  std::int32_t written = 0, word = 0, seen = 0;
  REQUIRE(chip.run(chip.add("deferred_in_blocks"),
                   RunArgs::of(out(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                               out(Tensor::host(&seen, {1})))));
  CHECK(seen == 3);
}

TEST_CASE("a deferred counter counts without a sign") {
  Foreign chip("a2a3sim");
  std::int32_t written = 0, word = -1;
  CHECK(chip.run(chip.defers, args_of(written, word, {.expected = 0x8000'0000})));
}

TEST_CASE("a bare kernel may leave its completion to the host, by a counter or an event record") {
  for (const auto type : {counter, event}) {
    CAPTURE(type);
    Foreign chip("a2a3sim");
    const auto address = chip.context.malloc(8).value();
    std::int32_t written = 0;
    auto args = RunArgs::of(out(Tensor::host(&written, {1})));
    args.add_device(no_dep(Tensor::create({0, 0, address}, 8, 0, {2}, runtime::DType::i32).value()), address);
    const std::int64_t words[] = {type, 0, 7, 1, 0};
    for (const auto word : words) args.add(scalar(word));
    const auto run = args.run(1, chip.defers);
    REQUIRE(chip.context.launch({&run, 1}));
    const std::uint64_t raised = 7;
    REQUIRE(chip.context.copy_to(address, &raised, sizeof raised));
    CHECK(chip.completions.wait_for(1).completion.code == 0);
    CHECK(written == 1);
  }
}

TEST_CASE("what was deferred may be completed in a window by a store that nobody hears of") {
  Domain domain("a2a3sim", 2, 300);
  auto& chip = *domain.chips[0];
  const auto defers = chip.add_foreign("defers", "defers");
  auto* flag = reinterpret_cast<std::int32_t*>(domain.views[0].local_base);
  std::int32_t written = 0, unused = 0;
  const auto args = args_of(written, unused, {.address = reinterpret_cast<std::int64_t>(flag)});
  const auto run = args.run(1, defers);
  REQUIRE(chip.context.launch({&run, 1}));
  std::atomic_ref(*flag).store(1);
  CHECK(chip.completions.wait_for(1).completion.code == 0);
}

TEST_CASE("a deferred completion that nobody can bring about is a deadlock that says what is waited for") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Foreign chip(platform);
    std::int32_t written = 0, word = 0;
    const auto alone = chip.run(chip.defers, args_of(written, word, {}));
    REQUIRE_FALSE(alone);
    CHECK(alone.error() == Errc::deadlock);
    CHECK(alone.error().message().find("'defers'") != std::string::npos);
    CHECK(alone.error().message().find("element 0 of tensor argument 1 >= 1") != std::string::npos);
    const auto many =
        chip.run(chip.add("deferred_more_than_cores"),
                 RunArgs::of(inout(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                             scalar(std::int64_t{3}), scalar(std::int64_t{0})));
    REQUIRE_FALSE(many);
    CHECK(many.error() == Errc::deadlock);
    CHECK(many.error().message().find("element 0 of tensor argument 1 >= 1") != std::string::npos);
  }
}

TEST_CASE("a deferred completion that waits for the host ends with its run") {
  Foreign chip("a2a3sim");
  const auto address = chip.context.malloc(4).value();
  std::int32_t written = 0;
  auto args = RunArgs::of(out(Tensor::host(&written, {1})));
  args.add_device(no_dep(Tensor::create({0, 0, address}, 4, 0, {1}, runtime::DType::i32).value()), address);
  for (const auto word : {counter, std::int64_t{0}, std::int64_t{1}, std::int64_t{1}, std::int64_t{0}})
    args.add(scalar(word));
  auto run = args.run(1, chip.defers);
  run.blocks = 2;
  REQUIRE(chip.context.launch({&run, 1}));
  // Until then it shows as what holds no core, and waits.
  troupe_core_status shown{};
  while (shown.activity != TROUPE_ACTIVITY_WAITING) {
    const auto status = chip.context.status().value();
    for (const auto& core : status.busy) shown = core;
    std::this_thread::yield();
  }
  CHECK(std::string(shown.name) == "defers");
  CHECK(shown.core == TROUPE_NO_CORE);
  CHECK(std::string(shown.detail) == "flag at element 0 of tensor argument 1");
  REQUIRE(chip.context.abort(1));
  CHECK(chip.completions.wait_for(1).completion.code == static_cast<std::int32_t>(Errc::aborted));
}

TEST_CASE("a deferred completion that cannot be is an error that says why") {
  Foreign chip("a2a3sim");
  std::int32_t written = 0, word = 0;
  const auto why = [&](Told told) {
    const auto failed = chip.run(chip.defers, args_of(written, word, told));
    REQUIRE_FALSE(failed);
    CHECK(failed.error() == Errc::kernel_failed);
    CHECK(failed.error().message().find("'defers'") != std::string::npos);
    return failed.error().message();
  };
  const auto says = [&](Told told, const char* what) { return why(told).find(what) != std::string::npos; };
  CHECK(says({.address = 1}, "number 0 of 1: its address is null"));
  CHECK(says({.type = event, .address = 1}, "its address is null"));
  CHECK(says({.type = event, .expected = 0, .address = 64}, "its event was never recorded"));
  CHECK(says({.type = DeferredCompletion::event_handle}, "which no simulated chip has"));
  CHECK(says({.type = 9}, "completion type 9 does not exist"));
  CHECK(says({.engine = 4}, "engine 4 does not exist"));
  CHECK(says({.address = 66}, "its address is not aligned"));
  CHECK(says({.address = 64}, "nothing is at its address"));
  CHECK(says({.entries = 65}, "one call has room for 64"));
  CHECK(word == 0);
}

TEST_CASE("more tasks than can wait for what they deferred are an error, not a hang") {
  Foreign chip("a2a3sim");
  std::int32_t written = 0, word = 0;
  const auto many = chip.run(chip.add("deferred_more_than_cores"),
                             RunArgs::of(inout(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                                         scalar(std::int64_t{65}), scalar(std::int64_t{0})));
  REQUIRE_FALSE(many);
  CHECK(many.error() == Errc::capacity_exceeded);
  CHECK(many.error().message().find("as 64 tasks before it") != std::string::npos);
}
