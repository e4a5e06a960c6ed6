// Graphs on a queued device that has some, through the ABI.
#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "device.hpp"
#include "platform/conformance/graph_description.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::test;
using conformance::Description;
using platform::Errc;
using platform::RunArgs;
using runtime::Tag;
using runtime::Tensor;

namespace {

/// z = 2 (x + s) + (x + s), by way of y and w; the sum may be another kernel.
struct Diamond {
  Description what;
  std::vector<float> like = all(0);
  Diamond(std::uint64_t add, std::uint64_t twice, std::uint64_t sum) {
    const auto whole = [&](Tag tag) {
      return RunArgs::of(runtime::TensorArg(Tensor::host(like.data(), {16}), tag)).run(1, 1).tensors[0];
    };
    const auto x = what.slot(whole(Tag::inout), 1), y = what.slot(whole(Tag::inout), 2),
               z = what.slot(whole(Tag::out), 3);
    what.task(add, "first");
    what.view(x, Tag::inout);
    what.scalar_slot(0);
    what.task(twice, "second", {0});
    what.view(x, Tag::in);
    what.view(y, Tag::out);
    what.task(sum, "third", {0, 1});
    what.view(x, Tag::in);
    what.view(y, Tag::in);
    what.view(z, Tag::out);
    // The upper half of z, once more.
    what.task(add, "fourth", {2});
    auto& half = what.view(z, Tag::inout);
    half.offset = 32;
    half.shape[0] = 8;
    what.scalar(100.0f);
  }
};

struct Three {
  explicit Three(Ready& chip)
      : add(chip.kernel("add")), twice(chip.kernel("twice")), sum(chip.kernel("sum")) {}
  std::uint64_t add, twice, sum;
};

std::uint64_t registered(Ready& chip, const troupe_graph& graph) {
  std::uint64_t id = 0;
  CHECK_MESSAGE(register_graph(chip.handle, &graph, &id) == 0, chip.last_error());
  return id;
}

RunArgs of(std::uint64_t x, std::uint64_t y, std::uint64_t z, float s) {
  return on_device({{x, Tag::inout}, {y, Tag::inout}, {z, Tag::out}}).add(runtime::scalar(s));
}

std::int32_t launch(Ready& chip, std::uint64_t number, std::uint64_t graph, const RunArgs& args) {
  const auto run = args.run(number, graph);
  return launch_graph(chip.handle, &run, 0);
}

std::vector<float> halves(float first, float second) {
  auto values = all(first);
  std::fill(values.begin() + 8, values.end(), second);
  return values;
}

}  // namespace

TEST_CASE("a graph is launched as one, again and again, with other memory and numbers, in order with runs") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto id = registered(chip, Diamond(kernels.add, kernels.twice, kernels.sum).what.graph());
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(0), w = chip.floats(10);
  REQUIRE(launch(chip, 1, id, of(x, y, z, 2.0f)) == 0);
  auto again = of(w, y, x, 5.0f);
  again.after(1);
  REQUIRE(launch(chip, 2, id, again) == 0);
  auto after = on_device({{x, Tag::inout}}).add(runtime::scalar(0.5f)).after(2);
  REQUIRE(chip.launch({after.run(3, kernels.add)}) == 0);
  for (std::uint64_t number = 1; number <= 3; ++number) CHECK(chip.end_of(number).code == 0);
  CHECK(chip.back(z) == halves(9, 109));
  CHECK(chip.back(x) == halves(45.5, 145.5));
  // Two at a time, each with a graph of the device's own.
  const auto a = chip.floats(0), b = chip.floats(0), c = chip.floats(0);
  REQUIRE(launch(chip, 4, id, of(x, y, z, 0.0f)) == 0);
  REQUIRE(launch(chip, 5, id, of(a, b, c, 1.0f)) == 0);
  CHECK(chip.end_of(4).code == 0);
  CHECK(chip.end_of(5).code == 0);
  CHECK(chip.back(z) == halves(45.5f * 3, 145.5f * 3 + 100));
  CHECK(chip.back(c) == halves(3, 103));
  CHECK(unregister_graph(chip.handle, id) == 0);
}

TEST_CASE("host tensors of a graph are copied in once and back once") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto id = registered(chip, Diamond(kernels.add, kernels.twice, kernels.sum).what.graph());
  auto x = all(1), y = all(-1), z = all(-1);
  const auto args = RunArgs::of(inout(Tensor::host(x.data(), {16})), inout(Tensor::host(y.data(), {16})),
                                out(Tensor::host(z.data(), {16})), runtime::scalar(1.0f));
  REQUIRE(launch(chip, 1, id, args) == 0);
  CHECK(chip.end_of(1).code == 0);
  CHECK(x == all(2));
  CHECK(y == all(4));
  CHECK(z == halves(6, 106));
}

TEST_CASE(
    "a task that fails fails its graph, by name, what comes after it is not entered, nor what depends") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto id = registered(chip, Diamond(kernels.add, kernels.twice, chip.kernel("fail")).what.graph());
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(7);
  REQUIRE(launch(chip, 1, id, of(x, y, z, 2.0f)) == 0);
  const auto dependent = on_device({{z, Tag::inout}}).add(runtime::scalar(0.5f)).after(1);
  REQUIRE(chip.launch({dependent.run(2, kernels.add)}) == 0);
  const auto failed = chip.end_of(1), skipped = chip.end_of(2);
  CHECK(failed.code == TROUPE_DEVICE_KERNEL_FAILED);
  CAPTURE(failed.message);
  CHECK(failed.message.find("task \"third\" (number 2 of 4) of graph \"the graph\" failed: kernel 'fail' "
                            "failed: on purpose") == 0);
  CHECK(skipped.code == TROUPE_DEVICE_POISONED);
  CHECK(skipped.caused_by == 1);
  CHECK(chip.back(z) == all(7));
  CHECK(device.fake.entered() == std::vector<std::string>{"add", "twice", "fail"});
  // The next launch of the same graph begins anew.
  const auto good = registered(chip, Diamond(kernels.add, kernels.twice, kernels.sum).what.graph());
  REQUIRE(launch(chip, 3, good, of(x, y, z, 0.0f)) == 0);
  CHECK(chip.end_of(3).code == 0);
}

TEST_CASE("a graph is aborted in its middle, and the next launch is whole") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto waits = chip.kernel("gate");
  const auto id = registered(chip, Diamond(kernels.add, waits, kernels.sum).what.graph());
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(7);
  REQUIRE(launch(chip, 1, id, of(x, y, z, 2.0f)) == 0);
  while (device.fake.entered().size() < 2) std::this_thread::yield();
  CHECK(abort_runs(chip.handle, 1) == 0);
  CHECK(chip.end_of(1).code == TROUPE_DEVICE_ABORTED);
  CHECK(chip.back(z) == all(7));
  device.fake.open_gate();
  REQUIRE(launch(chip, 2, id, of(x, y, z, 0.0f)) == 0);
  CHECK(chip.end_of(2).code == 0);
  CHECK(chip.back(z) == halves(3, 103));
}

TEST_CASE("a graph is made when it is registered, and many launches of it share a few of the device's own") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto id = registered(chip, Diamond(kernels.add, chip.kernel("gate"), kernels.sum).what.graph());
  CHECK(device.fake.graphs() == 1);
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(7);
  REQUIRE(launch(chip, 1, id, of(x, y, z, 2.0f)) == 0);
  // Behind those that wait for their turn so does this one; it is over when nothing could begin before.
  constexpr std::uint64_t launches = 100;
  for (std::uint64_t number = 2; number <= launches; ++number)
    REQUIRE(launch(chip, number, id, of(x, y, z, 0.0f)) == 0);
  CHECK(abort_runs(chip.handle, launches) == 0);
  CHECK(chip.end_of(launches).code == TROUPE_DEVICE_ABORTED);
  device.fake.open_gate();
  for (std::uint64_t number = 1; number < launches; ++number) CHECK(chip.end_of(number).code == 0);
  CHECK(device.fake.graphs() == 8);
}

TEST_CASE("where the device has no room for more of a graph, the launches have turns until it has") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto id = registered(chip, Diamond(kernels.add, chip.kernel("gate"), kernels.sum).what.graph());
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(7);
  const auto overlap = [&](std::uint64_t first, const std::function<bool()>& until) {
    for (auto number = first; number < first + 20; ++number)
      REQUIRE(launch(chip, number, id, of(x, y, z, 0.0f)) == 0);
    while (!until()) std::this_thread::yield();
    CHECK(abort_runs(chip.handle, TROUPE_ALL_RUNS) == 0);
    for (auto number = first; number < first + 20; ++number)
      CHECK(chip.end_of(number).code == TROUPE_DEVICE_ABORTED);
  };
  device.fake.fail_next("make_graph", Errc::out_of_memory);
  overlap(1, [&] {
    const std::lock_guard lock(chip.mutex);
    return !chip.logged.empty();
  });
  CHECK(device.fake.graphs() == 1);
  overlap(21, [&] { return device.fake.graphs() == 8; });
  const std::lock_guard lock(chip.mutex);
  REQUIRE(chip.logged.size() == 1);
  CHECK_MESSAGE(chip.logged[0].find("make_graph fails by order") != std::string::npos, chip.logged[0]);
}

TEST_CASE("a task that waits for another twice waits for it once") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  Diamond diamond(kernels.add, kernels.twice, kernels.sum);
  std::vector<std::uint32_t> before(40, 2);
  before.push_back(3);
  diamond.what.task(kernels.add, "behind", before);
  diamond.what.view(2, Tag::inout);
  diamond.what.scalar(1.0f);
  const auto id = registered(chip, diamond.what.graph());
  const auto x = chip.floats(1), y = chip.floats(0), z = chip.floats(7);
  REQUIRE(launch(chip, 1, id, of(x, y, z, 2.0f)) == 0);
  CHECK(chip.end_of(1).code == 0);
  CHECK(chip.back(z) == halves(10, 110));
}

TEST_CASE("what a device's graph cannot be is refused, and is launched as runs by who asked") {
  Device device;
  Ready chip;
  const Three kernels(chip);
  const auto code_of = [&](const troupe_graph& graph) {
    std::uint64_t id = 0;
    return register_graph(chip.handle, &graph, &id);
  };
  const auto foreign = chip.kernel("nothing", true);
  CHECK(code_of(Diamond(foreign, kernels.twice, kernels.sum).what.graph()) == TROUPE_DEVICE_UNSUPPORTED);
  CHECK(code_of(Diamond(999, kernels.twice, kernels.sum).what.graph()) == TROUPE_DEVICE_UNKNOWN_CALLABLE);
  Diamond many(kernels.add, kernels.twice, kernels.sum);
  std::vector<std::uint32_t> all_before;
  for (std::uint32_t task = 4; task < 20; ++task) {
    many.what.task(kernels.twice, "more");
    many.what.view(0, Tag::in);
    many.what.view(1, Tag::out);
    all_before.push_back(task);
  }
  CHECK(code_of(many.what.graph()) == 0);
  many.what.task(kernels.twice, "behind all of them", all_before);
  many.what.view(0, Tag::in);
  many.what.view(1, Tag::out);
  CHECK(code_of(many.what.graph()) == TROUPE_DEVICE_UNSUPPORTED);
  CHECK(chip.last_error().find("waits for 16 others") != std::string::npos);
  Description together = Diamond(kernels.add, kernels.twice, kernels.sum).what;
  together.tasks_[0].blocks = 3;
  CHECK(code_of(together.graph()) == 0);
  together.tasks_[0].flags = TROUPE_RUN_SYNC_START;
  CHECK(code_of(together.graph()) == TROUPE_DEVICE_UNSUPPORTED);
}

TEST_CASE("a device without graphs promises none") {
  for (const bool has : {true, false}) {
    Device device;
    if (!has) device.fake.without_graphs();
    Ready chip;
    const Three kernels(chip);
    troupe_device_properties properties{};
    properties.size = sizeof properties;
    REQUIRE(device_properties(chip.handle, &properties) == 0);
    CHECK(((properties.features & TROUPE_FEATURE_GRAPHS) != 0) == has);
    const Diamond diamond(kernels.add, kernels.twice, kernels.sum);
    const auto graph = diamond.what.graph();
    std::uint64_t id = 0;
    CHECK(register_graph(chip.handle, &graph, &id) == (has ? 0 : TROUPE_DEVICE_UNSUPPORTED));
  }
}

namespace {

/// Some launches, of which any call of the driver may fail.
void a_few_launches() {
  Context chip;
  if (set_device(chip.handle, 0) != 0) return;
  std::uint64_t add = 0, twice = 0, sum = 0;
  if (chip.register_kernel("add", false, add) != 0 || chip.register_kernel("twice", false, twice) != 0 ||
      chip.register_kernel("sum", false, sum) != 0)
    return;
  const Diamond diamond(add, twice, sum);
  const auto graph = diamond.what.graph();
  std::uint64_t id = 0;
  if (register_graph(chip.handle, &graph, &id) != 0) return;
  auto x = all(1), y = all(-1), z = all(-1);
  std::uint64_t launched = 0;
  for (std::uint64_t number = 1; number <= 3; ++number) {
    auto args = RunArgs::of(inout(Tensor::host(x.data(), {16})), inout(Tensor::host(y.data(), {16})),
                            out(Tensor::host(z.data(), {16})), runtime::scalar(1.0f));
    if (number > 1) args.after(number - 1);
    const auto run = args.run(number, id);
    if (launch_graph(chip.handle, &run, 0) != 0) break;
    launched = number;
  }
  bool good = launched == 3;
  for (std::uint64_t number = 1; number <= launched; ++number) good = chip.end_of(number).code == 0 && good;
  if (!good) return;
  CHECK(x == all(4));
  CHECK(z == halves(12, 112));
}

}  // namespace

TEST_CASE("whichever call of the driver fails, launches of graphs end once and nothing stays behind") {
  std::uint64_t calls = 0;
  {
    Device device;
    a_few_launches();
    calls = device.fake.fail_call(0, {});
  }
  REQUIRE(calls > 20);
  for (const Errc code : {Errc::system, Errc::out_of_memory, Errc::lost}) {
    for (std::uint64_t call = 1; call <= calls + 10; ++call) {
      CAPTURE(call);
      Device device;
      device.fake.fail_call(call, code);
      a_few_launches();
    }
  }
}
