#include "troupe/platform/scripted_chip.hpp"

#include <numeric>

#include "platform/chip_fixture.hpp"
#include "troupe/runtime/comm_context.hpp"

using namespace troupe;
using namespace troupe::platform;
using test::ChipFixture;
using test::code_of;
using test::scripted;

namespace {

void add_floats(ScriptedCall& call) {
  const auto a = call.tensor<const float>(0);
  const auto b = call.tensor<const float>(1);
  const auto c = call.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
}

}  // namespace

TEST_CASE("a scripted kernel reads its inputs and writes only its outputs back") {
  ChipFixture f;
  f.chip.on("add", add_floats);
  auto context = f.open_ready();
  const auto add = scripted(context, "add");
  std::vector<float> a(16, 2.0f), b(16, 3.0f), c(16, -1.0f);
  const auto args =
      RunArgs::of(in(runtime::Tensor::host(a.data(), {16})), in(runtime::Tensor::host(b.data(), {16})),
                  out(runtime::Tensor::host(c.data(), {16})));
  const auto run = args.run(7, add);
  context.launch({&run, 1}).value();
  CHECK(f.ended.empty());  // never from inside the launch
  CHECK(c[0] == -1.0f);
  f.host->run();
  REQUIRE(f.ended.size() == 1);
  CHECK(f.ended[0].correlation == 7);
  CHECK(f.ended[0].code == 0);
  CHECK(c == std::vector<float>(16, 5.0f));
  CHECK(a == std::vector<float>(16, 2.0f));
  REQUIRE(f.chip.history().size() == 1);
  CHECK(f.chip.history()[0].callable == "add");
}

TEST_CASE("a view of a host tensor is copied without touching the bytes around it") {
  ChipFixture f;
  f.chip.on("negate", [](ScriptedCall& call) {
    const auto x = call.tensor<float>(0);
    for (std::size_t i = 0; i < x.extent(0); ++i) {
      for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) = -x(i, j);
    }
  });
  auto context = f.open_ready();
  const auto negate = scripted(context, "negate");
  std::vector<float> data(64);
  std::iota(data.begin(), data.end(), 0.0f);
  const auto tile = runtime::Tensor::host(data.data(), {8, 8}).view({2, 3}, {4, 2});
  const auto args = RunArgs::of(inout(tile));
  context.run(args.run(0, negate)).value();
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 8; ++j) {
      const bool inside = i >= 2 && i < 6 && j >= 3 && j < 5;
      const auto value = static_cast<float>(i * 8 + j);
      CHECK(data[static_cast<std::size_t>(i * 8 + j)] == (inside ? -value : value));
    }
  }
}

TEST_CASE("device tensors pass straight through and are checked") {
  ChipFixture f;
  f.chip.on("fill", [](ScriptedCall& call) {
    for (auto& x : call.tensor<std::int32_t>(0)) x = call.scalar<std::int32_t>(0);
  });
  auto context = f.open_ready();
  const auto fill = scripted(context, "fill");
  const auto device = context.malloc(64).value();
  const auto shape = runtime::Tensor::unallocated({16}, runtime::DType::i32);
  auto arg = tensor_arg(shape, runtime::Tag::out, device, TROUPE_SPACE_DEVICE);
  arg.buffer_bytes = 64;
  const auto args = RunArgs::of(arg, runtime::scalar(std::int32_t{42}));
  context.run(args.run(0, fill)).value();
  std::vector<std::int32_t> back(16);
  context.copy_from(back.data(), device, 64).value();
  CHECK(back == std::vector<std::int32_t>(16, 42));

  SUBCASE("memory in use by an unfinished run cannot be freed") {
    const auto run = args.run(1, fill);
    context.launch({&run, 1}).value();
    CHECK(code_of(context.free(device)) == TROUPE_DEVICE_BUSY);
    f.host->run();
    CHECK(code_of(context.free(device)) == 0);
    CHECK(code_of(context.free(device)) == TROUPE_DEVICE_DOUBLE_FREE);
  }
  SUBCASE("a freed address fails the run that is given it") {
    context.free(device).value();
    CHECK(code_of(context.run(args.run(0, fill))) == TROUPE_DEVICE_BAD_ADDRESS);
  }
  SUBCASE("a tensor that leaves its allocation fails the run") {
    auto large = arg;
    large.buffer_bytes = 65;
    CHECK(code_of(context.run(RunArgs::of(large, runtime::scalar(1)).run(0, fill))) ==
          TROUPE_DEVICE_OUT_OF_RANGE);
  }
}

TEST_CASE("a kernel that throws fails its run with its name, and the chip stays usable") {
  ChipFixture f;
  f.chip.on("bad", [](ScriptedCall&) { throw std::runtime_error{"no luck"}; });
  f.chip.on("good", [](ScriptedCall&) {});
  auto context = f.open_ready();
  const auto bad = scripted(context, "bad");
  const auto good = scripted(context, "good");
  const troupe_run runs[] = {RunArgs{}.run(1, bad), RunArgs{}.run(2, good)};
  context.launch(runs).value();
  f.host->run();
  REQUIRE(f.ended.size() == 2);
  CHECK(f.ended[0].code == TROUPE_DEVICE_KERNEL_FAILED);
  CHECK(f.ended[0].message == "kernel 'bad' failed: no luck");
  CHECK(f.ended[1].code == 0);
}

TEST_CASE("a dependent of a failed run is poisoned with the first failure as its cause") {
  ChipFixture f;
  f.chip.on("bad", [](ScriptedCall&) { throw std::runtime_error{"no luck"}; });
  f.chip.on("good", [](ScriptedCall&) {});
  auto context = f.open_ready();
  const auto bad = scripted(context, "bad");
  const auto good = scripted(context, "good");
  const auto after_1 = RunArgs{}.after(1), after_2 = RunArgs{}.after(2);
  const troupe_run runs[] = {RunArgs{}.run(1, bad), after_1.run(2, good), after_2.run(3, good),
                             RunArgs{}.run(4, good)};
  context.launch(runs).value();
  f.host->run();
  REQUIRE(f.codes() == std::vector<std::int32_t>{TROUPE_DEVICE_KERNEL_FAILED, TROUPE_DEVICE_POISONED,
                                                 TROUPE_DEVICE_POISONED, 0});
  CHECK(f.ended[1].caused_by == 1);
  CHECK(f.ended[2].caused_by == 1);

  SUBCASE("also when it is launched after the failure, until the host has settled it") {
    const auto late = RunArgs{}.after(1);
    const auto run = late.run(5, good);
    context.launch({&run, 1}, 1).value();
    f.host->run();
    CHECK(f.ended.back().code == TROUPE_DEVICE_POISONED);
    const auto later = late.run(6, good);
    context.launch({&later, 1}, 6).value();
    f.host->run();
    CHECK(f.ended.back().code == 0);
  }
}

TEST_CASE("a run that takes time ends when the host's clock has got there") {
  ChipFixture f;
  f.chip.on("slow", [](ScriptedCall& call) { call.takes(1000); });
  auto context = f.open_ready();
  const auto slow = scripted(context, "slow");
  const auto run = RunArgs{}.run(1, slow);
  context.launch({&run, 1}).value();
  f.host->advance(999);
  CHECK(f.ended.empty());
  const auto status = context.status().value();
  CHECK(status.totals.runs_running == 1);
  REQUIRE(status.busy.size() == 1);
  CHECK(std::string{status.busy[0].name} == "slow");
  f.host->advance(1);
  CHECK(f.codes() == std::vector<std::int32_t>{0});
}

TEST_CASE("abort ends a waiting run and what is queued behind it") {
  ChipFixture f;
  f.chip.on("wait", [](ScriptedCall& call) { call.waits(); });
  auto context = f.open_ready();
  const auto wait = scripted(context, "wait");
  const troupe_run runs[] = {RunArgs{}.run(1, wait), RunArgs{}.run(2, wait)};
  context.launch(runs).value();
  f.host->run();
  CHECK(f.ended.empty());
  SUBCASE("all of them") {
    context.abort().value();
    CHECK(f.ended.empty());  // never from inside abort
    f.host->run();
    CHECK(f.codes() == std::vector<std::int32_t>(2, TROUPE_DEVICE_ABORTED));
  }
  SUBCASE("one of them") {
    context.abort(1).value();
    f.host->run();
    CHECK(f.codes() == std::vector<std::int32_t>(1, TROUPE_DEVICE_ABORTED));
    CHECK(context.status().value().totals.runs_running == 1);
  }
}

TEST_CASE("a hung kernel makes close answer busy, and the context waits in quarantine until it returns") {
  ChipFixture f;
  f.chip.on("hang", [](ScriptedCall& call) { call.hangs(); });
  auto context = f.open_ready();
  const auto hang = scripted(context, "hang");
  const troupe_run runs[] = {RunArgs{}.run(1, hang), RunArgs{}.run(2, hang)};
  context.launch(runs).value();
  f.host->run();
  context.abort().value();
  f.host->run();
  CHECK(f.ended.empty());
  const auto closed = context.close();
  CHECK(code_of(closed) == TROUPE_DEVICE_BUSY);
  CHECK(closed.error().message().find("'hang'") != std::string::npos);
  CHECK(f.codes() == std::vector<std::int32_t>(2, TROUPE_DEVICE_ABORTED));  // completed all the same
  CHECK(context.closed());
  CHECK(f.host->quarantined() == 1);
  CHECK(f.chip.live_contexts() == 1);
  CHECK(f.host->sweep_quarantine() == 1);  // still inside
  f.chip.release_hung();
  CHECK(f.host->sweep_quarantine() == 0);
  CHECK(f.chip.live_contexts() == 0);
  CHECK(f.ended.size() == 2);
}

TEST_CASE("faults hit the k-th matching run of a device and no other") {
  ChipFixture f;
  f.chip.on("work", [](ScriptedCall&) {});
  auto first = f.open_ready(0);
  auto second = f.open_ready(1);
  const auto work_0 = scripted(first, "work");
  const auto work_1 = scripted(second, "work");
  std::vector<troupe_run> runs_0, runs_1;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    runs_0.push_back(RunArgs{}.run(i, work_0));
    runs_1.push_back(RunArgs{}.run(10 + i, work_1));
  }
  const auto play = [&] {
    first.launch(runs_0).value();
    second.launch(runs_1).value();
    f.host->run();
  };
  using Kind = ScriptedFault::Kind;

  SUBCASE("fail_run: that run fails with the code given") {
    f.chip.inject({.kind = Kind::fail_run, .device = 1, .at = 2, .code = 9, .text = "fatal"});
    play();
    REQUIRE(f.ended.size() == 6);
    for (const auto& end : f.ended) CHECK(end.code == (end.correlation == 12 ? 9 : 0));
  }
  SUBCASE("lose_device: that device ends all its runs and answers nothing any more") {
    f.chip.inject({.kind = Kind::lose_device, .device = 1, .at = 2});
    play();
    REQUIRE(f.ended.size() == 6);
    for (const auto& end : f.ended) CHECK(end.code == (end.correlation >= 12 ? TROUPE_DEVICE_LOST : 0));
    CHECK(code_of(second.malloc(8)) == TROUPE_DEVICE_LOST);
    CHECK(second.status().value().totals.state == TROUPE_STATE_LOST);
    CHECK(code_of(first.malloc(8)) == 0);
    CHECK(code_of(second.close()) == 0);
  }
  SUBCASE("drop: the completion never comes, but destroying the context still tells it") {
    f.chip.inject({.kind = Kind::drop, .device = 1, .at = 2});
    play();
    CHECK(f.ended.size() == 5);
    second.close().value();
    REQUIRE(f.ended.size() == 6);
    CHECK(f.ended.back().correlation == 12);
    CHECK(f.ended.back().code == TROUPE_DEVICE_ABORTED);
  }
  SUBCASE("delay: the completion comes later") {
    f.chip.inject({.kind = Kind::delay, .device = 1, .at = 3, .delay_ns = 500});
    first.launch(runs_0).value();
    second.launch(runs_1).value();
    f.host->advance(499);
    CHECK(f.ended.size() == 5);
    f.host->advance(1);
    CHECK(f.ended.size() == 6);
  }
  SUBCASE("hang: the run never returns until it is let go") {
    f.chip.inject({.kind = Kind::hang, .device = 1, .at = 1});
    play();
    CHECK(f.ended.size() == 3);
    f.chip.release_hung();
    f.host->run();
    CHECK(f.codes() == std::vector<std::int32_t>(6, 0));
  }
  SUBCASE("fail_call: one function of the ABI fails") {
    f.chip.inject({.kind = Kind::fail_call,
                   .device = 1,
                   .at = 2,
                   .code = TROUPE_DEVICE_OUT_OF_MEMORY,
                   .text = "planned",
                   .call = "device_malloc_ctx"});
    CHECK(code_of(second.malloc(8)) == 0);
    const auto failed = second.malloc(8);
    CHECK(code_of(failed) == TROUPE_DEVICE_OUT_OF_MEMORY);
    CHECK(failed.error().message().find("planned") != std::string::npos);
    CHECK(code_of(second.malloc(8)) == 0);
  }
}

TEST_CASE("the same script under a manual host plays the same way every time") {
  const auto play = [] {
    ChipFixture f{{.completions_per_step = 2}};
    f.chip.on("work", [](ScriptedCall& call) { call.takes(call.ordinal() * 7 % 5); });
    auto first = f.open_ready(0);
    auto second = f.open_ready(1);
    const auto work_0 = scripted(first, "work");
    const auto work_1 = scripted(second, "work");
    for (std::uint64_t i = 1; i <= 20; ++i) {
      const auto run_0 = RunArgs{}.run(i, work_0);
      const auto run_1 = RunArgs{}.run(100 + i, work_1);
      first.launch({&run_0, 1}).value();
      second.launch({&run_1, 1}).value();
    }
    f.host->run();
    std::vector<std::uint64_t> order;
    for (const auto& end : f.ended) order.push_back(end.correlation);
    return order;
  };
  const auto once = play();
  CHECK(once.size() == 40);
  CHECK(play() == once);
}

TEST_CASE("in manual mode nothing happens but by step") {
  ChipFixture f{{.manual = true}};
  f.chip.on("work", [](ScriptedCall&) {});
  auto context = f.open_ready();
  const auto work = scripted(context, "work");
  const troupe_run runs[] = {RunArgs{}.run(1, work), RunArgs{}.run(2, work)};
  context.launch(runs).value();
  CHECK(f.host->pending() == 0);
  CHECK(f.chip.step());
  CHECK(f.ended.size() == 1);
  CHECK(f.chip.step());
  CHECK(f.ended.size() == 2);
  CHECK(!f.chip.step());
}

TEST_CASE("windows of two contexts see each other's memory and end each other's waits") {
  ChipFixture f;
  f.chip.on("wait", [](ScriptedCall& call) { call.waits(); });
  f.chip.on("put", [](ScriptedCall& call) {  // scalars: address of the CommContext
    const auto* comm = reinterpret_cast<const runtime::CommContext*>(call.scalar<std::uint64_t>(0));
    *reinterpret_cast<std::uint64_t*>(comm->windows_in[1 - comm->rank]) = 40 + comm->rank;
  });
  auto first = f.open_ready(0);
  auto second = f.open_ready(1);
  troupe_window_spec spec{};
  spec.domain[0] = 17;
  spec.epoch = 1;
  spec.bytes = 4096;
  spec.rank_count = 2;
  auto other = spec;
  other.rank = 1;
  troupe_window_blob blob_0{}, blob_1{};
  const auto w0 = first.window_create(spec, blob_0).value();
  const auto w1 = second.window_create(other, blob_1).value();
  CHECK(code_of(first.window_commit(w0)) == TROUPE_DEVICE_INVALID_STATE);  // rank 1 is not imported
  first.window_import(w0, 0, blob_0).value();
  first.window_import(w0, 1, blob_1).value();
  second.window_import(w1, 0, blob_0).value();
  const auto view_0 = first.window_commit(w0).value();
  const auto view_1 = second.window_commit(w1).value();

  const auto put = scripted(first, "put");
  const auto args = RunArgs::of(runtime::scalar(view_0.context_address));
  first.run(args.run(0, put)).value();
  std::uint64_t word = 0;
  second.copy_from(&word, view_1.local_base, 8).value();
  CHECK(word == 40);

  SUBCASE("a window in use is not released") {
    const auto run = args.run(1, put);
    first.launch({&run, 1}).value();
    CHECK(code_of(first.window_release(w0)) == TROUPE_DEVICE_BUSY);
    f.host->run();
    first.window_release(w0).value();
    CHECK(code_of(first.copy_from(&word, view_0.local_base, 8)) == TROUPE_DEVICE_BAD_ADDRESS);
  }
  SUBCASE("aborting the window in one context ends the wait in the other") {
    const auto wait = scripted(second, "wait");
    const auto run = RunArgs{}.run(1, wait);
    second.launch({&run, 1}).value();
    f.host->run();
    CHECK(f.ended.empty());
    first.window_abort(w0, 1012, 0).value();
    f.host->run();
    CHECK(f.codes() == std::vector<std::int32_t>{1012});
  }
  SUBCASE("blobs of another domain, epoch, rank or size are refused") {
    auto third = f.open_ready(2);
    auto wrong = spec;
    wrong.epoch = 2;
    troupe_window_blob blob{};
    const auto w2 = third.window_create(wrong, blob).value();
    CHECK(code_of(third.window_import(w2, 1, blob_1)) == TROUPE_DEVICE_BAD_WINDOW);
    blob.byte_count = 3;
    CHECK(code_of(third.window_import(w2, 1, blob)) == TROUPE_DEVICE_BAD_WINDOW);
    CHECK(code_of(third.window_import(99, 1, blob)) == TROUPE_DEVICE_UNKNOWN_WINDOW);
  }
}
