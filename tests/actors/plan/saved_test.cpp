// Plans in files: what is loaded does what was recorded, on any node that has the code; what a file cannot
// have is refused, and any other bytes are an error.
#include <doctest/doctest.h>

#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "actors/plan/layer.hpp"
#include "plan/plan.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/testing.hpp"

using namespace std::chrono_literals;
using namespace troupe;
using actors::Errc;
using test::error_of;
using test::layer;
using test::size;
using test::with_kernels;
using testing::Simulation;

namespace {

/// What a file can have, all of it.
void everything(Orchestrator& node, Tensor x, Tensor y, Slot<float> r, float fixed) {
  auto sum = node.alloc<float>({size});
  node.submit("add", in(x), in(x), out(sum), on_chip(0), name("first"), priority(3));
  const auto before = node.submit("set", out(y), scalar(fixed), on_chip(1), retry(2), deadline(1h));
  std::vector<Args> members;
  members.push_back(args(out(y.rows(0, 4)), scalar(r)));
  members.push_back(args(out(y.rows(4, 8)), scalar(1.0f)));
  node.submit_group("set", members, {1, 0}, name("both"));
  auto apart = node.alloc<float>({size});
  node.fill(apart, 2.0f, after(before));
  node.submit("add", in(apart), in(sum), out(apart), after(before), idempotent);
  node.submit("add", in(apart), in(y), out(y), runtime::CallConfig{2, 3});
  node.copy(x, y);
  node.evict(x);
}

std::string all_of(const Tensor& tensor) {
  std::string text;
  for (const auto element : tensor.host<const float>()) text += " " + std::to_string(element);
  return text;
}

std::vector<std::byte> contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  const auto all = std::as_bytes(std::span(bytes));
  return {all.begin(), all.end()};
}

struct File {
  test::TemporaryFolder folder;
  std::string path = (folder.path() / "plan.tplan").string();
};

/// The bytes of a plan that has all kinds of parts.
std::vector<std::byte> example() {
  const File file;
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  node.record(name("everything"), everything, x, y, 0.5f, 4.0f).save(file.path);
  return contents(file.path);
}

}  // namespace

TEST_CASE("a saved plan runs in another system, with as many chips as that has") {
  const File file;
  std::string described;
  {
    Simulation sim({.chips = 1});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
    const auto plan = node.record(name("layer"), layer, x, y, 0.5f);
    plan.save(file.path);
    described = plan.describe();
  }
  for (const int chips : {1, 2, 3}) {
    Simulation sim({.seed = static_cast<std::uint64_t>(chips), .chips = chips});
    auto& node = with_kernels(sim).node();
    const auto plan = node.load_plan(file.path);
    CHECK(sim.ran().empty());  // a load runs nothing
    CHECK(plan.name() == "layer");
    CHECK(plan.tasks() == 5);
    if (chips == 1) CHECK(plan.describe() == described);
    auto x = node.tensor<float>({size}, 7), y = node.tensor<float>({size});
    node.run(plan, in(x), out(y), 2.0f);
    CHECK(y.host<const float>()[0] == 7 * 2 * 2 * 2);
    CHECK(y.host<const float>()[size - 1] == 7 * 2 * 2);
    CHECK(error_of([&] { node.run(plan, x, x, 2.0f); }) == Errc::bad_argument);
    node.run(
        [&](Orchestrator& n, Tensor a, Tensor b) {
          n.submit(plan, a, b, 1.0f);
          n.submit(plan, b, a, 1.0f);
        },
        y, x);
    CHECK(y.host<const float>()[0] == 7 * 8 * 16);
  }
}

TEST_CASE("a plan that cannot be written leaves the file that was there") {
  const File file;
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  const auto plan = node.record(name("layer"), layer, x, y, 0.5f);
  plan.save(file.path);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto small = limit;
  small.rlim_cur = 16;
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto error = error_of([&] { plan.save(file.path); });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  (void)std::signal(SIGXFSZ, before);
  REQUIRE(error);
  CHECK(*error == Errc::cannot_write);
  CHECK(node.load_plan(file.path).tasks() == 5);
}

TEST_CASE("all that a file can have of a plan comes back") {
  const File file;
  Simulation sim({.seed = 5, .chips = 2});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  const auto plan = node.record(name("everything"), everything, x, y, 0.5f, 4.0f);
  plan.save(file.path);
  const auto loaded = node.load_plan(file.path);
  CHECK(loaded.describe() == plan.describe());
  auto x1 = node.tensor<float>({size}, 5), y1 = node.tensor<float>({size});
  auto x2 = node.tensor<float>({size}, 5), y2 = node.tensor<float>({size});
  node.run(plan, x1, y1, 0.25f, 4.0f);
  node.run(loaded, x2, y2, 0.25f, 4.0f);
  CHECK(all_of(x1) == all_of(x2));
  CHECK(all_of(y1) == all_of(y2));
  // What is saved again is the same file.
  const auto bytes = contents(file.path);
  loaded.save(file.path);
  CHECK(contents(file.path) == bytes);
  const auto decoded = actors::decode_plan(bytes).value();
  REQUIRE(decoded.tasks.size() == 8);
  CHECK(decoded.tasks[0].priority == 3);
  CHECK(decoded.tasks[0].target == 0);
  const auto find = [&](const std::string& called) {
    for (const auto& task : decoded.tasks) {
      if (task.name != 0 && decoded.names[task.name - 1] == called) return &task;
    }
    return static_cast<const actors::SavedPlan::Task*>(nullptr);
  };
  REQUIRE(find("both") != nullptr);
  CHECK(find("both")->chips == std::vector<int>{1, 0});
}

TEST_CASE("intermediates that shared the same bytes are apart again on a node that has room") {
  const File file;
  const auto chain = [](Orchestrator& n, Tensor x, Slot<float> r) {
    for (int i = 0; i < 200; ++i) {
      auto one = n.alloc<float>({1024});
      n.submit("set", out(one), scalar(r));
      n.submit("add", in(x), in(one.rows(0, size)), out(x));
    }
  };
  {
    Simulation sim({.seed = 3, .chips = 1, .arena_bytes = 64 << 10});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size});
    node.record(chain, x, 1.0f).save(file.path);
  }
  for (const std::uint64_t arena : {64ULL << 10U, 64ULL << 20U}) {
    for (const int chips : {1, 2}) {
      Simulation sim({.seed = 4, .chips = chips, .arena_bytes = arena});
      auto& node = with_kernels(sim).node();
      auto x = node.tensor<float>({size});
      node.run(node.load_plan(file.path), x, 2.0f);
      CHECK(x.host<const float>()[3] == 400);
    }
  }
  // It says what is missing, and how much.
  Simulation sim({.chips = 1, .arena_bytes = 2048});
  const auto error = error_of([&] { (void)with_kernels(sim).node().load_plan(file.path); });
  REQUIRE(error.has_value());
  CHECK(error->root().message().find("never fits") != std::string::npos);
}

TEST_CASE("a plan of plans, of tensors on chips, and of parameters that share bytes is saved") {
  const File file;
  Simulation sim({.seed = 1, .chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1);
  auto on_chip_0 = node.chip(0).malloc<float>({size});
  const auto inner = node.record(layer, x, node.tensor<float>({size}), 1.0f);
  const auto outer = [&](Orchestrator& n, Tensor a, Tensor part, Tensor there, Slot<float> r) {
    auto between = n.alloc<float>({size});
    n.submit(inner, a, between, 1.0f);
    n.submit(inner, between, there, r);
    n.submit("set", out(part), scalar(5.0f));
    n.submit("add", in(there), in(a), out(a));
  };
  const auto plan = node.record(outer, x, x.rows(2, 4), on_chip_0, 1.0f);
  plan.save(file.path);
  const auto loaded = node.load_plan(file.path);
  auto y = node.tensor<float>({size}, 1), z = node.tensor<float>({size}, 1);
  auto there = node.chip(0).malloc<float>({size});
  node.run(plan, y, y.rows(2, 4), on_chip_0, 2.0f);
  node.run(loaded, z, z.rows(2, 4), there, 2.0f);
  CHECK(y.host<const float>()[0] == 1 + 4 * 8);
  CHECK(y.host<const float>()[2] == 5 + 4 * 8);
  CHECK(all_of(y) == all_of(z));
  CHECK(error_of([&] { node.run(loaded, z, z.rows(4, 6), there, 2.0f); }) == Errc::bad_argument);
  const auto again =
      node.record([&](Orchestrator& n, Tensor a, Tensor b) { n.submit(inner, a, b, 1.0f, retry(1)); }, x, z);
  const auto error = error_of([&] { again.save(file.path); });
  REQUIRE(error.has_value());
  CHECK(error->message().find("tried again as a whole") != std::string::npos);
}

TEST_CASE("what a file cannot have is refused, naming the task and why") {
  const File file;
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3);
  auto kept = node.tensor<float>({size}, 3), there = node.chip(0).malloc<float>({size});
  node.chip(0).copy_to(there, x);
  const auto refused = [&](const char* task, const char* why, auto program) {
    const auto plan = node.record(name("odd"), program, x);
    const auto error = error_of([&] { plan.save(file.path); });
    REQUIRE(error == Errc::bad_argument);
    INFO(error->message());
    CHECK(error->message().find("plan \"odd\" cannot be saved: task \"" + std::string(task) + "\"") !=
          std::string::npos);
    CHECK(error->message().find(why) != std::string::npos);
    CHECK(!error->hint().empty());
  };
  refused("bump", "host function", [](Orchestrator& n, Tensor a) {
    n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += 1; }, inout(a), name("bump"));
  });
  refused("second", "a tensor that the plan keeps", [&](Orchestrator& n, Tensor a) {
    n.submit("set", out(a), scalar(1.0f));
    n.submit("add", in(a), in(kept), out(a), name("second"));
  });
  refused("add", "memory of a chip that the plan keeps",
          [&](Orchestrator& n, Tensor a) { n.submit("add", in(a), in(there), out(a)); });
  auto own = std::make_shared<Callable>();
  own->name = "set";
  refused("set", "came with its submit",
          [&](Orchestrator& n, Tensor a) { n.submit(CallableRef(own), out(a), scalar(1.0f)); });
  CHECK(error_of([&] { Plan().save(file.path); }) == Errc::bad_argument);
  const auto plan = node.record([](Orchestrator& n, Tensor a) { n.submit("set", out(a), scalar(1.0f)); }, x);
  CHECK(error_of([&] { plan.save("/nowhere/plan.tplan"); }) == Errc::cannot_write);
  CHECK(error_of([&] { (void)node.load_plan("/nowhere/plan.tplan"); }) == Errc::cannot_read);
  CHECK(error_of([&] { (void)node.load_plan("/"); }) == Errc::cannot_read);
}

TEST_CASE("code that a node does not have is named, all of it, with what to do") {
  const File file;
  {
    Simulation sim({.chips = 2});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
    node.record(name("layer"), layer, x, y, 0.5f).save(file.path);
  }
  const auto error_on = [&](Simulation& sim) {
    const auto error = error_of([&] { (void)sim.node().load_plan(file.path); });
    REQUIRE(error.has_value());
    return *error;
  };
  Simulation without({.chips = 1});
  without.kernel("add", [](auto&) {});
  const auto missing = error_on(without);
  CHECK(missing == Errc::unknown_callable);
  CHECK(missing.message().find("node0 does not know: ") != std::string::npos);
  CHECK(missing.message().find("\"scale\" (") != std::string::npos);
  CHECK(missing.message().find("\"set\"") != std::string::npos);
  CHECK(missing.message().find("\"add\"") == std::string::npos);
  CHECK(missing.hint().find("load the module") != std::string::npos);
  Simulation other({.chips = 1});
  for (const auto* name : {"add", "set"}) other.kernel(name, [](auto&) {});
  other.node().add_kernel("scale", {1, 2, 3});
  const auto differs = error_on(other);
  CHECK(differs == Errc::unknown_callable);
  CHECK(differs.message().find("other code") != std::string::npos);
  CHECK(differs.message().find("\"scale\"") != std::string::npos);
}

TEST_CASE("a plan for more chips than a node has is refused when it is loaded") {
  const File file;
  {
    Simulation sim({.chips = 2});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size});
    node.record(
            name("two"),
            [](Orchestrator& n, Tensor a) {
              n.submit("set", out(a), scalar(1.0f), on_chip(1), name("there"));
            },
            x)
        .save(file.path);
  }
  Simulation sim({.chips = 1});
  const auto error = error_of([&] { (void)with_kernels(sim).node().load_plan(file.path); });
  REQUIRE(error.has_value());
  CHECK(error->message().find("plan \"two\" cannot run on node0: its task 0, \"there\"") !=
        std::string::npos);
  CHECK(error->root() == Errc::no_such_chip);
}

TEST_CASE("a file with a byte changed, cut off or added is an error") {
  const auto bytes = example();
  const auto loads = [](const std::vector<std::byte>& file) { return actors::decode_plan(file).has_value(); };
  CHECK(loads(bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(!loads(cut));
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto changed = bytes;
      changed[i] ^= static_cast<std::byte>(1U << bit);
      CHECK(!loads(changed));
    }
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(!loads(longer));
  // With words for people.
  const File file;
  const auto written = [&](const std::string& text) {
    std::ofstream(file.path, std::ios::binary | std::ios::trunc) << text;
    Simulation sim({.chips = 1});
    const auto error = error_of([&] { (void)sim.node().load_plan(file.path); });
    REQUIRE(error.has_value());
    return error->message();
  };
  CHECK(written("an ELF file").find("\" is no plan of troupe") != std::string::npos);
  CHECK(written("").find("the beginning of a plan alone") != std::string::npos);
  CHECK(written("troupe plan\x1a\x07" + std::string(99, 'x')).find("of version 7") != std::string::npos);
}

TEST_CASE("a plan whose digest fits and whose parts do not is refused by the decoder or the node") {
  const auto file = example();
  const auto body = std::span(file).subspan(actors::plan_head_bytes);
  REQUIRE(actors::decode_plan_body(body).has_value());
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  const File at;
  std::mt19937_64 random(test::first_seed());
  std::size_t decoded = 0, loaded = 0;
  for (std::uint64_t i = 0; i < test::cases(3000); ++i) {
    std::vector<std::byte> changed(body.begin(), body.end());
    for (auto times = 1 + random() % 3; times > 0; --times)
      changed[random() % changed.size()] =
          static_cast<std::byte>(random() % 4 == 0 ? random() : random() % 8);
    const auto plan = actors::decode_plan_body(changed);
    if (!plan) continue;
    ++decoded;
    // What is encoded again is the same plan.
    const auto again = actors::encode(*plan);
    CHECK(std::equal(again.begin() + std::ptrdiff_t{actors::plan_head_bytes}, again.end(), changed.begin(),
                     changed.end()));
    std::ofstream(at.path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(again.data()), static_cast<std::streamsize>(again.size()));
    Plan made;
    if (!error_of([&] { made = node.load_plan(at.path); })) {
      ++loaded;
      (void)made.describe();
      made.save(at.path);
      (void)node.load_plan(at.path);
    }
  }
  CHECK(decoded > 0);
  CHECK(loaded > 0);
}
