// Chips that come up from configuration, step by step: the devices and communicators are what the test says.
#include "worker/configured_bring_up.hpp"

#include <doctest/doctest.h>

#include "support/shared_name.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::actors;
using Step = ConfiguredBringUp::Step;

namespace {

comm::ChipBootstrapConfig member(int rank, int ranks) {
  comm::ChipBootstrapConfig config;
  config.comm = comm::ChipCommBootstrapConfig{rank, ranks, "here", 4096};
  config.buffers = {{.name = "input", .count = 16, .nbytes = 64}};
  return config;
}

struct Bench {
  std::string from = test::shared_name("in"), to = test::shared_name("out");
  comm::HostSegment input = comm::HostSegment::create(from, 64).value();
  comm::HostSegment output = comm::HostSegment::create(to, 64).value();
  Children children{"node0", {}};
  ConfiguredChips shown;
  ConfiguredBringUp bring_up{2, shown};

  /// Two chips of one communicator, whose first loads and stores its buffer; and one that has none.
  explicit Bench() {
    for (int i = 0; i < 3; ++i) children.add(ChipConfig{.device_id = i});
    std::vector<comm::ChipBootstrapConfig> configs{member(0, 2), member(1, 2), {}};
    configs[0].buffers[0].load_from_host = configs[0].buffers[0].store_to_host = true;
    configs[0].host_inputs = {{"input", from, 64}};
    configs[0].host_outputs = {{"input", to, 64}};
    REQUIRE_FALSE(bring_up.plan(configs, children));
  }
  static DomainInfo info(std::uint64_t bytes = 4096) {
    DomainInfo made;
    for (int chip = 0; chip < 2; ++chip) {
      made.ranks.push_back({chip, 0, 0, 500, 10000 + 10000 * static_cast<std::uint64_t>(chip), bytes});
    }
    return made;
  }
  /// Up to the point where every load has ended.
  void form() {
    (void)bring_up.device_ready(0);
    REQUIRE(bring_up.device_ready(1) == Step::form);
    bring_up.forms(0, 5);
    const auto loads = bring_up.formed(0, info(), children).size();
    for (std::size_t i = 0; i < loads; ++i) REQUIRE_FALSE(bring_up.loaded(0, children).value());
    REQUIRE(bring_up.loaded(0, children).value());
  }
  std::int32_t culprit(const Error& error, bool starting = false) {
    return bring_up.culprit(0, error, children, starting);
  }
};

}  // namespace

TEST_CASE("a chip without a communicator is up at once, those of one are formed when the last is there") {
  Bench bench;
  CHECK(bench.bring_up.device_ready(2) == Step::up);
  CHECK(bench.shown.context(2)->device_id == 2);
  CHECK(bench.bring_up.device_ready(1) == Step::waits);
  CHECK(bench.bring_up.device_ready(0) == Step::form);
  CHECK(bench.bring_up.group_of(0) == 0);
  const auto forming = bench.bring_up.forming(0, bench.children);
  CHECK(forming.window_bytes == 4096);
  CHECK(forming.layout.buffers.count("input") == 1);
  REQUIRE(forming.members.size() == 2);
  CHECK(forming.members[1].name == "chip1");
  CHECK(forming.members[1].arena == device_arena(2, 1));
  // Not twice at the same time.
  bench.bring_up.forms(0, 5);
  CHECK(bench.bring_up.device_ready(0) == Step::waits);
}

TEST_CASE("a node that nothing is configured for has chips that are up when their device is there") {
  Children children("node0", {});
  ConfiguredChips shown;
  ConfiguredBringUp bring_up(2, shown);
  children.add(ChipConfig{});
  CHECK_FALSE(bring_up.plan({}, children));
  CHECK(bring_up.device_ready(0) == Step::up);
  CHECK_FALSE(shown.context(0));
}

TEST_CASE("a configuration that does not fit its chips is refused, with the chip") {
  Children children("node0", {});
  ConfiguredChips shown;
  ConfiguredBringUp bring_up(2, shown);
  children.add(SubWorkerConfig{});
  children.add(ChipConfig{});
  const auto refusal = bring_up.plan({member(0, 2)}, children);
  REQUIRE(refusal);
  CHECK(refusal->chip == 1);
  CHECK(refusal->error == comm::Errc::bad_config);
}

TEST_CASE("programs see what a chip was given when the last load has ended, not before") {
  Bench bench;
  (void)bench.bring_up.device_ready(0);
  (void)bench.bring_up.device_ready(1);
  bench.bring_up.forms(0, 5);
  const auto loads = bench.bring_up.formed(0, Bench::info(), bench.children);
  REQUIRE(loads.size() == 1);
  CHECK(loads[0].chip == 0);
  CHECK(loads[0].order->to_device);
  CHECK(loads[0].order->address == 10000);
  CHECK(loads[0].order->bytes == 64);
  CHECK_FALSE(bench.bring_up.loaded(0, bench.children).value());
  CHECK_FALSE(bench.shown.context(0));
  CHECK(bench.bring_up.loaded(0, bench.children).value());
  CHECK(bench.shown.context(1)->buffer_ptrs.at("input") == 20000);
  CHECK(bench.shown.domain(0) != nullptr);
}

TEST_CASE("a window that came out too small is the error of its chip") {
  Bench bench;
  bench.bring_up.forms(0, 5);
  CHECK(bench.bring_up.formed(0, Bench::info(32), bench.children).size() == 1);
  CHECK_FALSE(bench.bring_up.loaded(0, bench.children).value());
  const auto all = bench.bring_up.loaded(0, bench.children);
  REQUIRE_FALSE(all);
  CHECK(all.error().path() == "chip0");
}

TEST_CASE("when a member is gone its communicator is over, and formed anew when it is back") {
  Bench bench;
  bench.form();
  CHECK(bench.bring_up.has(0, 5));
  CHECK(bench.bring_up.lost(1) == 5);
  CHECK_FALSE(bench.bring_up.has(0, 5));
  CHECK_FALSE(bench.shown.context(0));
  CHECK(bench.shown.domain(0) == nullptr);
  CHECK(bench.bring_up.lost(1) == 0);
  CHECK(bench.bring_up.device_ready(1) == Step::form);
}

TEST_CASE("a chip without a communicator takes nothing of others with it") {
  Bench bench;
  bench.form();
  CHECK(bench.bring_up.device_ready(2) == Step::up);
  CHECK(bench.bring_up.lost(2) == 0);
  CHECK_FALSE(bench.shown.context(2));
  CHECK(bench.shown.context(0));
}

TEST_CASE("what cannot be formed is the fault of the chip that the error names") {
  Bench bench;
  const Error anonymous(Errc::shut_down, "ended");
  CHECK(bench.culprit(anonymous) == 0);
  CHECK(bench.culprit(anonymous.inside("chip1")) == 1);
  SUBCASE("a chip that is up already is not at fault") {
    bench.children.up(0, 1);
    CHECK(bench.culprit(anonymous) == 1);
    bench.children.up(1, 1);
    CHECK(bench.culprit(anonymous) == -1);
  }
  SUBCASE("a member that is gone is not, unless the worker itself starts") {
    const Error gone = Error(comm::Errc::peer_lost, "died").inside("chip1");
    CHECK(bench.culprit(gone) == -1);
    CHECK(bench.culprit(gone, true) == 1);
    bench.children.lost(1, gone);
    CHECK(bench.culprit(anonymous.inside("chip1")) == -1);
  }
}

TEST_CASE("buffers are stored by name or all of them, and those of dead chips are lost") {
  Bench bench;
  bench.form();
  CHECK(bench.bring_up.stores("other", bench.children).error() == Errc::bad_argument);
  for (const char* name : {"", "input"}) {
    const auto stores = bench.bring_up.stores(name, bench.children).value();
    REQUIRE(stores.size() == 1);
    REQUIRE(stores[0].order);
    CHECK_FALSE(stores[0].order->to_device);
    CHECK(stores[0].order->address == 10000);
  }
  (void)bench.bring_up.lost(0);
  const auto stores = bench.bring_up.stores("input", bench.children).value();
  REQUIRE(stores.size() == 1);
  CHECK(stores[0].buffer == "input");
  CHECK_FALSE(stores[0].order);
}
