#include "troupe/platform/device_context.hpp"

#include <atomic>

#include "platform/chip_fixture.hpp"

using namespace troupe;
using namespace troupe::platform;
using test::ChipFixture;
using test::code_of;
using test::scripted;

TEST_CASE("calls in the wrong state are typed errors that say what to do") {
  ChipFixture f;
  auto context = f.open();
  SUBCASE("before a device is set") {
    const auto error = context.malloc(8).error();
    CHECK(error == Errc::invalid_state);
    CHECK(error.message() == "malloc: no device is set");
    CHECK(error.hint() == "call set_device() first");
    CHECK(context.launch({}).error() == Errc::invalid_state);
    CHECK(context.device_id() == -1);
  }
  SUBCASE("setting a device twice") {
    context.set_device(3).value();
    const auto error = context.set_device(4).error();
    CHECK(error == Errc::invalid_state);
    CHECK(error.message() == "set_device(4): device 3 is already set");
    CHECK(error.hint() == "call reset_device() before switching devices");
    context.reset_device().value();
    context.set_device(4).value();
    CHECK(context.device_id() == 4);
  }
  SUBCASE("after finalize, which may be called twice") {
    context.finalize().value();
    context.finalize().value();
    CHECK(context.set_device(0).error() == Errc::finalized);
    CHECK(context.malloc(8).error() == Errc::finalized);
  }
  SUBCASE("after close, which may be called twice") {
    context.close().value();
    context.close().value();
    CHECK(context.closed());
    CHECK(context.malloc(8).error() == Errc::finalized);
    CHECK(context.status().error() == Errc::finalized);
    CHECK(context.reset_device().error() == Errc::finalized);
  }
}

TEST_CASE("a platform's failure keeps its code and says which call, device and reason") {
  ChipFixture f;
  auto context = f.open_ready(2);
  const auto error = context.copy_to(0x1000, "x", 1).error();
  CHECK(error == Errc::bad_address);
  CHECK(error.message() ==
        "copy_to of 1 bytes at 0x1000 on device 2 failed: 0x1000 is no device memory of this context");
}

TEST_CASE("a context that cannot be created says why") {
  ChipFixture f;
  f.chip.inject({.kind = ScriptedFault::Kind::fail_call,
                 .text = "the card is not there",
                 .call = "create_device_context"});
  const auto context = DeviceContext::create(f.chip.api(), f.host);
  REQUIRE(!context);
  CHECK(context.error().message().find("the card is not there") != std::string::npos);
  CHECK(code_of(DeviceContext::create(DeviceApi{}, f.host)) == TROUPE_DEVICE_MISSING_SYMBOL);
  CHECK(code_of(DeviceContext::create(f.chip.api(), nullptr)) == TROUPE_DEVICE_INVALID_ARGUMENT);
}

TEST_CASE("a context that goes out of scope is destroyed, and nothing is heard of it afterwards") {
  ChipFixture f;
  f.chip.on("wait", [](ScriptedCall& call) { call.waits(); });
  {
    auto context = f.open_ready();
    const auto run = RunArgs{}.run(1, scripted(context, "wait"));
    context.launch({&run, 1}).value();
    f.host->run();
    auto moved = std::move(context);
    CHECK(moved.device_id() == 0);
    CHECK(f.ended.empty());
  }
  CHECK(f.codes() == std::vector<std::int32_t>{TROUPE_DEVICE_ABORTED});
  CHECK(f.chip.live_contexts() == 0);
  f.host->run();
  CHECK(f.ended.size() == 1);
}

TEST_CASE("without a completion callback only run works") {
  ChipFixture f;
  f.chip.on("work", [](ScriptedCall&) {});
  auto context = DeviceContext::create(f.chip.api(), f.host).value();
  context.set_device(0).value();
  const auto run = RunArgs{}.run(1, scripted(context, "work"));
  CHECK(context.launch({&run, 1}).error() == Errc::invalid_state);
  CHECK(context.run(run).value().chip_tasks == 1);
}

namespace {

// A communication session that counts what it holds. The C functions have nowhere else to keep the count.
std::atomic<int> live_streams = 0, live_sessions = 0;
bool refuse_session = false;

DeviceApi with_comm(DeviceApi api) {
  api.ensure_acl_ready_ctx = [](troupe_device_context*, std::int32_t) { return 0; };
  api.create_comm_stream_ctx = [](troupe_device_context* c) -> void* { return ++live_streams, c; };
  api.destroy_comm_stream_ctx = [](troupe_device_context*, void*) { return --live_streams, 0; };
  api.comm_init = [](troupe_device_context* c, std::int32_t, std::int32_t, void*, const char*) -> void* {
    if (refuse_session) return nullptr;
    return ++live_sessions, c;
  };
  api.comm_alloc_windows = [](troupe_device_context*, void*, std::uint64_t, std::uint64_t*) { return 0; };
  api.comm_destroy = [](troupe_device_context*, void*) -> std::int32_t { return --live_sessions, 1012; };
  return api;
}

}  // namespace

TEST_CASE("a communication session is one at a time, and its stream goes whatever becomes of it") {
  ChipFixture f;
  auto context = DeviceContext::create(with_comm(f.chip.api()), f.host).value();
  CHECK(context.comm_init(0, 2, "m").error() == Errc::invalid_state);  // no device
  context.set_device(0).value();
  CHECK(context.comm_alloc_windows(8).error() == Errc::invalid_state);  // no session
  refuse_session = true;
  CHECK(!context.comm_init(0, 2, "m"));
  CHECK(live_streams == 0);  // rolled back
  refuse_session = false;
  context.comm_init(0, 2, "m").value();
  CHECK(context.comm_init(0, 2, "m").error().message() ==
        "comm_init: a comm session is already active on this context");
  CHECK(live_streams == 1);
  SUBCASE("comm_destroy reports the failure of the session, and the stream is gone") {
    const auto error = context.comm_destroy().error();
    CHECK(error.code().value == 1012);
    CHECK(error.code().name == "peer_lost");
  }
  SUBCASE("reset takes the session down") { (void)context.reset_device(); }
  SUBCASE("close takes the session down") { (void)context.close(); }
  CHECK(live_sessions == 0);
  CHECK(live_streams == 0);
}

TEST_CASE("moves go between two contexts of one library, and to no other") {
  ChipFixture f;
  auto one = f.open_ready(0), two = f.open_ready(1);
  const auto here = one.malloc(64).value(), there = two.malloc(64).value();
  const std::vector<char> bytes(64, 'x');
  one.copy_to(here, bytes.data(), 64).value();
  REQUIRE(one.moves_with(two));
  troupe_move move{};
  move.from.address = here;
  move.to.address = there;
  move.run_bytes = 64;
  CHECK(two.move(move, &one, &two));
  std::vector<char> back(64);
  two.copy_from(back.data(), there, 64).value();
  CHECK(back == bytes);
  (void)one.reset_device();
  CHECK(two.move(move, &one, &two).error() == Errc::invalid_state);
  auto api = f.chip.api();
  api.run_move = nullptr;
  auto without = DeviceContext::create(api, f.host).value();
  without.set_device(2).value();
  CHECK_FALSE(two.moves_with(without));
  CHECK(two.move(move, &without, &two).error() == Errc::unsupported);
  CHECK(without.move(move, &two, &without).error() == Errc::unsupported);
}

TEST_CASE("graphs on a platform that has none are unsupported, and say which function is missing") {
  ChipFixture f;
  auto context = f.open_ready(0);
  CHECK_FALSE(context.has_graphs());
  const auto error = context.register_graph({}).error();
  CHECK(error == Errc::unsupported);
  CHECK(error.message().find("lacks the optional function 'register_graph'") != std::string::npos);
  CHECK(context.launch_graph({}).error() == Errc::unsupported);
  CHECK(context.unregister_graph(1).error() == Errc::unsupported);
}
