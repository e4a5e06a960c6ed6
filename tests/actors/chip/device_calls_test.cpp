// Calls on a device that take long: large copies, large windows, and foreign objects that are linked in. They
// hold nobody up, and what they touch stays until they have left it.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/actors/messages.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::ChipAccess;
using actors::ChipOf;
using actors::DeviceCopy;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

constexpr std::uint64_t large = 1U << 20U;  // bytes: more than a chip's actor copies itself

/// Where a call of a device stays until the test lets it go.
struct Gate {
  std::atomic<int> inside{0};
  std::atomic<bool> closed{false};

  void pass() {
    ++inside;
    inside.notify_all();
    closed.wait(true);
  }
  void wait_inside(int count) {
    for (int now = inside.load(); now < count; now = inside.load()) inside.wait(now);
  }
  void close() {
    inside = 0;
    closed = true;
  }
  void open() {
    closed = false;
    closed.notify_all();
  }
};
Gate copies, stores, objects, windows;  // the device's functions are plain ones

/// Scripted chips on real threads: large copies to chip 0 and from it stay in their gates, and so do the
/// making of a large window and a foreign object.
NodeConfig gated(const platform::ScriptedChip& script, int chips) {
  static const auto scripted = script.api();
  NodeConfig config;
  config.chips = chips;
  config.restart = {1000, std::chrono::seconds(1)};
  config.device = [script](int index, std::uint32_t) {
    auto api = script.api();
    if (index != 0) return Result<platform::DeviceApi>(std::move(api));
    api.run_move = nullptr;  // what leaves it passes host memory
    api.copy_to_device_ctx = [](troupe_device_context* context, std::uint64_t to, const void* from,
                                std::uint64_t bytes) {
      if (bytes >= large) copies.pass();
      return scripted.copy_to_device_ctx(context, to, from, bytes);
    };
    api.copy_from_device_ctx = [](troupe_device_context* context, void* to, std::uint64_t from,
                                  std::uint64_t bytes) {
      if (bytes >= large) stores.pass();
      return scripted.copy_from_device_ctx(context, to, from, bytes);
    };
    api.window_create = [](troupe_device_context* context, const troupe_window_spec* spec,
                           std::uint64_t* window, troupe_window_blob* blob) {
      if (spec->bytes >= large) windows.pass();
      return scripted.window_create(context, spec, window, blob);
    };
    api.register_callable = [](troupe_device_context* context, const troupe_callable* callable,
                               std::uint64_t* id) {
      if (callable->byte_count > 0) objects.pass();
      return scripted.register_callable(context, callable, id);
    };
    return Result<platform::DeviceApi>(std::move(api));
  };
  return config;
}

SystemConfig quiet() {
  SystemConfig config;
  config.log = [](int, std::string_view, std::string_view) {};
  return config;
}

platform::ScriptedChip script_of_steps() {
  platform::ScriptedChip script;
  script.on("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  script.on("slow", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  return script;
}

void step_on(Node& node, Tensor x, int chip) {
  node.run([chip](Orchestrator& n, Tensor a) { n.submit("step", inout(a), on_chip(chip)); }, std::move(x));
}

/// Who asks for copies without waiting: an actor, so that nobody steps for it. It lets go of its memory when
/// it is answered.
struct Asker {
  std::vector<std::uint8_t> memory;
  int answers = 0;
  std::string wrong;

  void answered(const std::optional<Error>& error) {
    ++answers;
    memory = {};
    const bool known = !error || *error == Errc::chip_lost || *error == Errc::data_lost ||
                       *error == Errc::wrong_state || *error == platform::Errc::bad_address;
    if (!known) wrong = render(*error);
  }
};

class AskerActor : public caf::event_based_actor {
 public:
  AskerActor(caf::actor_config& config, std::shared_ptr<Asker> asker, bool to_device, std::uint64_t address,
             actors::Worker worker)
      : event_based_actor(config), asker_(std::move(asker)), worker_(std::move(worker)) {
    copy_.to_device = to_device;
    copy_.address = address;
    copy_.host = asker_->memory.data();
    copy_.bytes = large;
  }
  caf::behavior make_behavior() override {
    request(std::exchange(worker_, nullptr), caf::infinite, ChipOf{0})
        .then([this](const Result<ChipAccess>& chip) {
          if (!chip) return asker_->answered(std::nullopt);
          copy_.incarnation = chip->incarnation;
          request(chip->chip, caf::infinite, copy_)
              .then(
                  [this](const Result<bool>& copied) {
                    asker_->answered(copied ? std::nullopt : std::optional(copied.error()));
                  },
                  [this](const caf::error&) { asker_->answered(std::nullopt); });
        });
    return {};
  }

 private:
  std::shared_ptr<Asker> asker_;
  actors::Worker worker_;
  DeviceCopy copy_;
};

}  // namespace

TEST_CASE("while a large copy is on its way its chip answers, runs tasks, copies and frees") {
  const auto script = script_of_steps();
  System system(quiet());
  auto node = system.node(gated(script, 2));
  node.add_kernel("step");
  auto chip = node.chip(0);
  auto x = node.tensor<float>({1});
  auto host = node.tensor<std::uint8_t>({large}, 7);
  auto device = chip.malloc<std::uint8_t>({large});
  std::atomic<bool> answered = false;
  copies.close();
  std::thread asker([&] {
    chip.copy_to(device, host);
    answered = true;
  });
  copies.wait_inside(1);
  const auto status = node.status().children[0];
  CHECK(status.state == "up");
  CHECK(status.busy == std::vector<std::string>{"copy_to of 1048576 bytes"});
  step_on(node, x, 0);
  step_on(node, x, 1);
  CHECK(x.host<float>()[0] == 2.0F);
  {
    auto other = chip.malloc<float>({64});  // freed behind the copy
  }
  CHECK_FALSE(answered);
  copies.open();
  asker.join();
  auto back = node.tensor<std::uint8_t>({large});
  chip.copy_from(back, device);
  CHECK(back.host<std::uint8_t>()[large - 1] == 7);
}

TEST_CASE("a chip that dies or is reset during a copy leaves the asker's memory before it answers") {
  const auto script = script_of_steps();
  for (const bool killed : {true, false}) {
    CAPTURE(killed);
    System system(quiet());
    auto node = system.node(gated(script, 2));
    node.add_kernel("step");
    auto chip = node.chip(0);
    auto host = node.tensor<std::uint8_t>({large}, 7);
    auto device = chip.malloc<std::uint8_t>({large});
    std::atomic<int> answered = 0;
    copies.close();
    auto copy = [&] {
      (void)error_of([&] { chip.copy_to(device, host); });
      ++answered;
    };
    std::thread first(copy);
    copies.wait_inside(1);
    std::thread resetting;
    if (killed) {
      testing::kill(node, 0);
    } else {
      resetting = std::thread([&] { chip.reset(); });
    }
    // The chip is not back before the copy has left, whatever else happens meanwhile.
    while (node.status().children[0].state == "up") std::this_thread::yield();
    auto x = node.tensor<float>({1});
    step_on(node, x, 1);
    CHECK(node.status().children[0].state != "up");
    CHECK(answered == 0);
    CHECK(script.live_contexts() == 2);
    copies.open();
    first.join();
    if (resetting.joinable()) resetting.join();
    CHECK(answered == 1);
    step_on(node, x, 0);
    CHECK(x.host<float>()[0] == 2.0F);
    CHECK(error_of([&] { chip.copy_from(host, device); }) == Errc::data_lost);
  }
}

TEST_CASE("a system ends while a copy is on its way") {
  const auto script = script_of_steps();
  auto system = std::make_unique<System>(quiet());
  auto node = system->node(gated(script, 1));
  auto chip = node.chip(0);
  auto host = node.tensor<std::uint8_t>({large}, 7);
  auto device = chip.malloc<std::uint8_t>({large});
  copies.close();
  std::atomic<bool> answered = false;
  std::thread asker([&] {
    (void)error_of([&] { chip.copy_to(device, host); });
    answered = true;
  });
  copies.wait_inside(1);
  std::thread ends([&] { system.reset(); });
  while (!error_of([&] { (void)node.status(); })) std::this_thread::yield();
  CHECK_FALSE(answered);
  copies.open();
  asker.join();
  ends.join();
  CHECK(script.live_contexts() == 0);
}

namespace {

/// A domain over both chips, with windows that take long to make; ends when it has been formed.
void form_large(Orchestrator& node) {
  (void)node.allocate_domain({.chips = {0, 1}, .window = large, .buffers = {{"all", large}}}).get();
}

std::uint64_t windows_of(const Node& node) {
  std::uint64_t sum = 0;
  for (const auto& child : node.status().children) sum += child.windows;
  return sum;
}

}  // namespace

TEST_CASE("while a large window is made its chip runs tasks, and a death does not wait for it") {
  const auto script = script_of_steps();
  for (const bool killed : {false, true}) {
    CAPTURE(killed);
    {
      System system(quiet());
      auto node = system.node(gated(script, 2));
      node.add_kernel("step");
      auto x = node.tensor<float>({1});
      windows.close();
      auto forming = node.submit(form_large);
      windows.wait_inside(1);
      step_on(node, x, 0);
      CHECK(x.host<float>()[0] == 1.0F);
      CHECK_FALSE(forming.done());
      if (killed) {
        testing::kill(node, 0);
        while (node.status().children[0].state == "up") std::this_thread::yield();
        step_on(node, x, 1);
      }
      windows.open();
      CHECK(bool(forming.result()) == !killed);
      if (killed)
        CHECK_MESSAGE(forming.result().error().root() == comm::Errc::peer_lost,
                      render(forming.result().error()));
      node.run(form_large);
      while (windows_of(node) != 0) std::this_thread::yield();
    }
    CHECK(script.live_contexts() == 0);
  }
}

TEST_CASE("large windows and chips that die at any moment: formed or a typed error, and nothing is left") {
  const auto first = test::first_seed();
  const auto count = test::seeds(300);
  std::uint64_t formed = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Simulation sim({.seed = seed, .chips = 2});
    auto& node = sim.node();
    auto run = node.submit(form_large);
    sim.steps(random() % 40);
    if (random() % 2 == 0) sim.kill(static_cast<int>(random() % 2));
    while (sim.steps(1000) > 0) {
    }
    const auto ended = run.result();
    if (ended) ++formed;
    if (!ended) {
      const auto root = ended.error().root().code();
      CHECK_MESSAGE(
          (ended.error().root() == Errc::chip_lost || ended.error().root() == comm::Errc::peer_lost ||
           ended.error().root() == Errc::data_lost),
          render(ended.error()) << root.value);
    }
    node.run(form_large);
    while (sim.steps(1000) > 0) {
    }
    CHECK(windows_of(node) == 0);
    CHECK(sim.script().live_contexts() == 2);
  }
  CHECK(formed > 0);
}

TEST_CASE("why says that a task waits for its data, before it is sent to its chip and when it is there") {
  const auto script = script_of_steps();
  System system(quiet());
  auto node = system.node(gated(script, 2));
  node.add_kernel("step");
  auto x = node.tensor<float>({large / sizeof(float)}), y = node.tensor<float>({large / sizeof(float)});
  const auto step = [](Orchestrator& n, Tensor a, int chip) { n.submit("step", inout(a), on_chip(chip)); };
  copies.close();
  const auto comes = node.submit(step, x, 0);
  copies.wait_inside(1);
  CHECK(comes.why() ==
        "task 1 \"step\": with chip0: waits for the copy of tensor f32[262144], 1048576 bytes");
  const auto fills = node.submit([](Orchestrator& n, Tensor a) { n.prefetch(a, on_chip(0)); }, y);
  copies.open();
  comes.wait();
  fills.wait();
  stores.close();
  const auto leaves = node.submit(step, x, 1);
  stores.wait_inside(1);
  CHECK(leaves.why() == "task 1 \"step\": waits for its data to come, then goes to chip1");
  stores.open();
  leaves.wait();
  CHECK(x.host<const float>()[0] == 2.0F);
}

TEST_CASE("an object that is slow to link in holds up its own tasks, and nobody else") {
  const auto script = script_of_steps();
  System system(quiet());
  auto node = system.node(gated(script, 2));
  node.add_kernel("step");
  node.add_kernel("slow", {1, 2, 3});
  auto x = node.tensor<float>({1}), y = node.tensor<float>({1}), z = node.tensor<float>({1});
  auto on_0 = [](Orchestrator& n, Tensor a) { n.submit("slow", inout(a), on_chip(0)); };
  objects.close();
  auto waits = node.submit(on_0, x);
  auto given_up = node.submit(on_0, y);
  objects.wait_inside(1);
  step_on(node, z, 1);
  CHECK(node.status().children[0].state == "up");
  // One of them is there; the other one's program may not even have begun.
  for (const auto& run : {waits, given_up}) {
    while (run.why().find("\"slow\" is linked in") == std::string::npos) std::this_thread::yield();
  }
  given_up.cancel();
  CHECK_FALSE(given_up.result());
  CHECK_FALSE(waits.done());
  objects.open();
  CHECK(waits.result());
  CHECK(x.host<float>()[0] == 1.0F);
  CHECK(y.host<float>()[0] == 0.0F);
  CHECK(z.host<float>()[0] == 1.0F);
}

TEST_CASE("a chip that is killed while an object is linked in does not wait for it") {
  const auto script = script_of_steps();
  {
    System system(quiet());
    auto node = system.node(gated(script, 1));
    node.add_kernel("slow", {1, 2, 3});
    auto x = node.tensor<float>({1});
    objects.close();
    auto run = node.submit([](Orchestrator& n, Tensor a) { n.submit("slow", inout(a)); }, x);
    objects.wait_inside(1);
    testing::kill(node, 0);
    REQUIRE_FALSE(run.result());
    CHECK(run.result().error() == Errc::chip_lost);
    objects.open();
    node.run([](Orchestrator& n, Tensor a) { n.submit("slow", out_existing(a), retry(3)); }, x);
  }
  CHECK(script.live_contexts() == 0);
}

TEST_CASE("copies, frees, kills and resets at any moment: each is answered once, and left alone afterwards") {
  const auto first = test::first_seed();
  const auto count = test::seeds(500);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Simulation sim({.seed = seed, .chips = 1});
    sim.script().on("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
    auto& node = sim.node();
    node.add_kernel("step", {1, 2, 3});
    auto device = node.chip(0).malloc<std::uint8_t>({large});
    const auto address = device.description().buffer().offset;
    auto x = node.tensor<float>({1});
    auto run =
        node.submit([](Orchestrator& n, Tensor a) { n.submit("step", out_existing(a), retry(20)); }, x);
    std::vector<std::shared_ptr<Asker>> askers;
    auto& caf_system = actors::actor_system(sim.system());
    for (int i = 0; i < 4; ++i) {
      auto asker = std::make_shared<Asker>();
      asker->memory.assign(large, static_cast<std::uint8_t>(i + 1));
      askers.push_back(asker);
      const bool to_device = random() % 2 == 0;
      caf_system.spawn<AskerActor>(asker, to_device, address, actors::worker(node));
      sim.steps(random() % 12);
      if (random() % 8 == 0) device = Tensor();  // freed, in its turn
    }
    const auto blow = random() % 4;
    if (blow == 0) sim.kill(0);
    if (blow == 1) (void)error_of([&] { node.chip(0).reset(); });
    while (sim.steps(1000) > 0) {
    }
    const auto ended = run.result();
    CHECK_MESSAGE(ended, render(ended ? Error(Errc::bad_argument, "") : ended.error()));
    while (sim.steps(1000) > 0) {
    }
    for (const auto& asker : askers) {
      CHECK(asker->answers == 1);
      CHECK(asker->wrong == "");
    }
    CHECK(sim.script().live_contexts() == 1);
  }
}
