#include "chip/state.hpp"

#include <doctest/doctest.h>

#include "support/bring_up.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

Callable named(const char* name) {
  Callable callable;
  callable.name = name;
  return callable;
}
const Callable look = named("look"), bad = named("bad"), stuck = named("stuck"), waits = named("waits");

/// One chip, driven call by call: what the device says comes back through `turn`.
struct Bench {
  explicit Bench(std::uint32_t credit = 4) : state(config_of(credit), {"chip0", 0, 0}, host) {
    script.on("look", [](auto&) {});
    script.on("bad", [](auto&) { throw std::runtime_error("a ghost"); });
    script.on("stuck", [](auto& call) { call.hangs(); });
    script.on("waits", [](auto& call) { call.waits(); });
  }
  ~Bench() {
    script.release_hung();
    host->run();
    (void)host->sweep_quarantine();
  }
  ChipConfig config_of(std::uint32_t credit) {
    ChipConfig config;
    config.credit = credit;
    config.device = [this](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
    return config;
  }
  Result<ExecutorInfo> up() { return test::bring_up(state, done, host); }
  TaskRequest task(TaskNumber number, const Callable& callable = look, std::vector<TaskNumber> depends = {}) {
    TaskRequest request;
    request.key = {1, number, 0, 0};
    request.ticket = number;
    request.body = std::make_shared<TaskBody>();
    request.body->callable = &callable;
    request.depends = std::move(depends);
    return request;
  }
  std::vector<TaskResult> give(std::vector<TaskRequest> requests) { return state.execute(requests); }
  template <class Request>
  Result<bool> make(const Request& request) {
    return state.make(MemoryCall::of(request));
  }
  /// Lets the device work until nothing is due, and hands the ends over.
  std::vector<TaskResult> turn() {
    std::vector<TaskResult> all;
    do {
      host->run();
      auto some = state.ended(std::exchange(done, {}));
      for (const auto& call : state.due_again()) (void)state.make(call);
      all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    } while (host->pending() > 0);
    return all;
  }

  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  platform::ScriptedChip script;
  DeviceDone done;
  ChipState state;
};

std::string outcomes(const std::vector<TaskResult>& results) {
  constexpr std::string_view names[] = {"done", "failed", "skipped", "lost", "cancelled"};
  std::string text;
  for (const auto& result : results) {
    text += (text.empty() ? "" : " ") + std::to_string(result.key.task) + ":" +
            std::string(names[static_cast<std::size_t>(result.outcome)]);
  }
  return text;
}

/// What is to be linked in; null: nothing.
const Callable* asked(ChipState& state) {
  const auto order = state.to_link();
  return order ? order->callable : nullptr;
}

}  // namespace

TEST_CASE("chip: every call in the wrong state says which state it is") {
  Bench bench;
  CHECK(bench.state.malloc({64, 0}).error().message() == "chip0: malloc: device not set");
  CHECK(outcomes(bench.give({bench.task(1)})) == "1:failed");
  REQUIRE(bench.up());
  CHECK(bench.state.may_bring_up().error().message() == "chip0: bring_up: device already set");
  REQUIRE(bench.state.malloc({64, 0}));
  (void)bench.state.take_context();
  CHECK(bench.state.malloc({64, 0}).error().message() == "chip0: malloc: already finalized");
  CHECK(bench.state.may_bring_up().error().message() == "chip0: bring_up: already finalized");
  CHECK(bench.state.may_bring_up().error() == Errc::wrong_state);
}

TEST_CASE("chip: no more than its credit is on the device, the rest follows in order") {
  Bench bench(2);
  REQUIRE(bench.up());
  std::vector<TaskRequest> five;
  for (TaskNumber i = 1; i <= 5; ++i) five.push_back(bench.task(i));
  CHECK(bench.give(std::move(five)).empty());
  CHECK(bench.state.status().running == 2);
  CHECK(bench.state.status().queued == 3);
  CHECK(outcomes(bench.turn()) == "1:done 2:done 3:done 4:done 5:done");
  CHECK(bench.state.status().completed == 5);
}

TEST_CASE("chip: what follows a failure is skipped, on the device, in the queue and on its way, others run") {
  Bench bench(2);
  REQUIRE(bench.up());
  auto now =
      bench.give({bench.task(1, bad), bench.task(2, look, {1}), bench.task(3, look, {2}), bench.task(4)});
  CHECK(now.empty());
  const auto ends = bench.turn();
  CHECK(outcomes(ends) == "1:failed 2:skipped 3:skipped 4:done");
  REQUIRE(ends[0].error);
  CHECK(ends[0].error->message().find("a ghost") != std::string::npos);
  CHECK(outcomes(bench.give({bench.task(5, look, {3})})) == "5:skipped");
}

TEST_CASE("chip: what is launched meanwhile does not make the device forget whom a queued run follows") {
  Bench bench;
  REQUIRE(bench.up());
  CHECK(bench.give({bench.task(1, bad), bench.task(2), bench.task(3, look, {1})}).empty());
  while (bench.done.ends.size() < 2) REQUIRE(bench.host->step());
  CHECK(outcomes(bench.state.ended(std::exchange(bench.done, {}))) == "1:failed 2:done");
  // 3 has not come to its turn.
  CHECK(bench.give({bench.task(4)}).empty());
  CHECK(outcomes(bench.turn()) == "3:skipped 4:done");
}

TEST_CASE("chip: cancel takes back what waits, asks what runs, and sees what does not listen") {
  Bench bench(1);
  REQUIRE(bench.up());
  (void)bench.give({bench.task(1, waits), bench.task(2)});
  CHECK(bench.turn().empty());
  CHECK(bench.state.why({1, 1}).find("waits") != std::string::npos);
  CHECK(outcomes(bench.state.cancel({1, 0})) == "2:cancelled");
  const auto asked = bench.state.asked_to_end();
  CHECK(asked == 1);
  CHECK(outcomes(bench.turn()) == "1:cancelled");
  CHECK_FALSE(bench.state.does_not_end(asked));
  CHECK(bench.state.asked_to_end() == 0);

  (void)bench.give({bench.task(3, stuck), bench.task(4)});
  (void)bench.turn();
  (void)bench.state.cancel({1, 3});
  CHECK(bench.turn().empty());
  const auto late = bench.state.does_not_end(bench.state.asked_to_end());
  REQUIRE(late);
  CHECK(*late == Errc::chip_lost);
  CHECK(outcomes(bench.state.abandon(*late)) == "3:lost 4:lost");
  CHECK(bench.state.abandon(*late).empty());
}

TEST_CASE("chip: tensors of other chips and of earlier lives are refused with a sentence") {
  Bench bench;
  REQUIRE(bench.up());
  const auto address = bench.state.malloc({64, 0}).value();
  auto with = [&](TaskNumber number, std::uint32_t arena, std::uint32_t life) {
    auto request = bench.task(number);
    const runtime::BufferRef ref{arena, life, address};
    request.body->args.tensors.push_back(
        runtime::in(runtime::Tensor::create(ref, 64, 0, {16}, runtime::DType::f32).value()));
    return request;
  };
  const auto refused = bench.give({with(1, device_arena(0, 3), 0), with(2, device_arena(0, 0), 9)});
  CHECK(outcomes(refused) == "1:failed 2:failed");
  CHECK(*refused[0].error == Errc::bad_argument);
  CHECK(*refused[1].error == Errc::data_lost);
  CHECK(bench.give({with(3, device_arena(0, 0), 0)}).empty());
  CHECK(outcomes(bench.turn()) == "3:done");
}

TEST_CASE("chip: a reset forgets everything, what the old context still says counts for nothing") {
  Bench bench;
  REQUIRE(bench.up());
  (void)bench.give({bench.task(1, stuck), bench.task(2)});
  (void)bench.turn();
  auto old = bench.state.reset(1);
  REQUIRE(old);
  CHECK(bench.state.life() == ChipState::Life::created);
  CHECK(bench.state.identity().incarnation == 1);
  // A kernel is inside: the context goes into quarantine, and its ends come late.
  CHECK_FALSE(old->context.close());
  CHECK(bench.host->quarantined() == 1);
  CHECK(bench.turn().empty());
  REQUIRE(bench.up());
  CHECK(bench.give({bench.task(3)}).empty());
  CHECK(outcomes(bench.turn()) == "3:done");
  bench.script.release_hung();
  CHECK(bench.turn().empty());
  CHECK(bench.host->sweep_quarantine() == 0);
}

TEST_CASE("chip: what is about memory or windows of an earlier life touches nothing of this one") {
  Bench bench;
  REQUIRE(bench.up());
  auto old = bench.state.reset(1);
  (void)old->context.close();
  REQUIRE(bench.up());
  // Messages of the life before may name the same numbers.
  const auto address = bench.state.malloc({64, 1}).value();
  WindowCreate create;
  create.spec.bytes = 4096;
  create.spec.rank_count = 1;
  CHECK(bench.state.create_window(create).error() == Errc::data_lost);
  create.incarnation = 1;
  const auto window = bench.state.create_window(create).value().window;
  CHECK(bench.state.malloc({64, 0}).error() == Errc::data_lost);
  CHECK(bench.make(DeviceFree{address, 0}).error() == Errc::data_lost);
  CHECK(bench.make(WindowRelease{window, 0}).error() == Errc::data_lost);
  std::uint64_t word = 0;
  DeviceCopy copy;
  copy.address = address;
  copy.host = &word;
  copy.bytes = sizeof word;
  CHECK(bench.make(copy).error() == Errc::data_lost);
  CHECK(bench.state.status().windows == 1);
  CHECK(bench.make(DeviceFree{address, 1}));
  CHECK(bench.make(WindowRelease{window, 1}));
  CHECK(bench.state.status().windows == 0);
}

TEST_CASE("chip: memory that a run still uses is freed when the run has ended") {
  Bench bench;
  REQUIRE(bench.up());
  const auto address = bench.state.malloc({64, 0}).value();
  auto request = bench.task(1, waits);
  const runtime::BufferRef ref{device_arena(0, 0), 0, address};
  request.body->args.tensors.push_back(
      runtime::inout(runtime::Tensor::create(ref, 64, 0, {16}, runtime::DType::f32).value()));
  (void)bench.give({request});
  (void)bench.turn();
  const auto used = bench.state.status().memory_used;
  CHECK(bench.make(DeviceFree{address, 0}));
  CHECK(bench.state.status().memory_used == used);
  (void)bench.state.cancel({1, 1});
  CHECK(outcomes(bench.turn()) == "1:cancelled");
  CHECK(bench.state.status().memory_used < used);
}

TEST_CASE("chip: what is queued behind a foreign object waits for it, in order, it is asked for once") {
  Bench bench;
  Callable foreign = named("look");
  foreign.bytes = {1, 2, 3};
  REQUIRE(bench.up());
  CHECK(bench.give({bench.task(1, bad), bench.task(2, foreign), bench.task(3, waits)}).empty());
  CHECK(asked(bench.state) == &foreign);
  CHECK(asked(bench.state) == nullptr);
  CHECK(outcomes(bench.turn()) == "1:failed");
  CHECK(bench.state.why({1, 3}) == "queued until \"look\" is linked in");
  CHECK(outcomes(bench.state.cancel({1, 3})) == "3:cancelled");
  std::vector<TaskResult> out;
  bench.state.linked({{foreign.digest(), false}, 7, std::uint64_t{1}}, out);  // of another life
  CHECK(bench.turn().empty());
  auto id = register_object(bench.state.device()->context, "look", foreign.bytes, CoreKind::vector);
  bench.state.linked({{foreign.digest(), false}, 0, id}, out);
  CHECK(out.empty());
  CHECK(outcomes(bench.turn()) == "2:done");
  CHECK(bench.give({bench.task(4, foreign)}).empty());
  CHECK(asked(bench.state) == nullptr);
  CHECK(outcomes(bench.turn()) == "4:done");
}

TEST_CASE("chip: an object that cannot be linked in fails those that wait for it, the next may try again") {
  Bench bench;
  Callable foreign = named("look");
  foreign.bytes = {1, 2, 3};
  REQUIRE(bench.up());
  CHECK(bench.give({bench.task(1, foreign), bench.task(2, foreign), bench.task(3)}).empty());
  CHECK(asked(bench.state) == &foreign);
  std::vector<TaskResult> out;
  bench.state.linked({{foreign.digest(), false}, 0, Error(platform::Errc::bad_callable, "no ELF object")},
                     out);
  CHECK(outcomes(out) == "1:failed 2:failed");
  CHECK(*out[0].error == platform::Errc::bad_callable);
  CHECK(outcomes(bench.turn()) == "3:done");
  CHECK(bench.give({bench.task(4, foreign)}).empty());
  CHECK(asked(bench.state) == &foreign);
}
