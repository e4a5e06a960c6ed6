// Chips that come up from configuration: communicators, named buffers, staging; all of them or none.
#include <doctest/doctest.h>

#include <cstring>

#include "support/error_of.hpp"
#include "support/shared_name.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/testing.hpp"
#include "worker/bootstrap_plan.hpp"

using namespace troupe;
using actors::BootstrapPlan;
using actors::Errc;
using test::error_of;
using testing::Simulation;
using testing::SimulationOptions;

namespace {

comm::ChipBootstrapConfig member(int rank, int ranks, std::uint64_t window = 4096) {
  comm::ChipBootstrapConfig config;
  config.comm = comm::ChipCommBootstrapConfig{rank, ranks, "here", window};
  config.buffers = {{.name = "input", .count = 16, .nbytes = 64},
                    {.name = "result", .count = 16, .nbytes = 64}};
  return config;
}

SimulationOptions node_of(int chips) {
  SimulationOptions options{.chips = chips};
  for (int i = 0; i < chips; ++i) options.chip_bootstrap_configs.push_back(member(i, chips));
  return options;
}

void add_kernels(Simulation& sim) {
  sim.kernel("twice", [](auto& call) {
    auto from = call.template tensor<float>(0), to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = 2 * from[i];
  });
  sim.kernel("look", [](auto&) {});
}

std::span<float> floats(const comm::HostSegment& segment) {
  return {reinterpret_cast<float*>(segment.bytes().data()), segment.size() / sizeof(float)};
}

/// On each rank: result = 2 * input.
void twice_everywhere(Orchestrator& n) {
  auto domain = n.configured_domain();
  n.submit_group("twice", domain.each([](auto& rank) {
    return args(in(rank.buffer("input")), inout(rank.buffer("result")), rank.context());
  }));
}

}  // namespace

TEST_CASE("chips come up together, with communicator, named buffers and staging") {
  const auto from = test::shared_name("in"), to = test::shared_name("out");
  auto input = comm::HostSegment::create(from, 64).value();
  auto output = comm::HostSegment::create(to, 64).value();
  for (std::size_t i = 0; i < 16; ++i) floats(input)[i] = static_cast<float>(i);
  auto options = node_of(3);
  auto& one = options.chip_bootstrap_configs[1];
  one.buffers[0].load_from_host = true;
  one.host_inputs = {{"input", from, 64}};
  one.buffers[1].store_to_host = true;
  one.host_outputs = {{"result", to, 64}};
  {
    Simulation sim(options);
    add_kernels(sim);
    auto& node = sim.node();
    const auto contexts = node.chip_contexts();
    REQUIRE(contexts.size() == 3);
    for (int rank = 0; rank < 3; ++rank) {
      const auto& context = contexts[static_cast<std::size_t>(rank)];
      CHECK(context.device_id == rank);
      CHECK(context.rank == rank);
      CHECK(context.nranks == 3);
      CHECK(context.device_ctx != 0);
      CHECK(context.actual_window_size == 4096);
      CHECK(context.buffer_ptrs.at("input") == context.local_window_base);
      CHECK(context.buffer_ptrs.at("result") == context.local_window_base + 64);
    }
    node.run(twice_everywhere);
    CHECK(floats(output)[5] == 0.0F);
    node.store_to_host("result");
    CHECK(floats(output)[5] == 10.0F);
    const auto unknown = error_of([&] { node.store_to_host("input"); });
    REQUIRE(unknown);
    CHECK(*unknown == Errc::bad_argument);
    floats(output)[5] = 0.0F;
  }
  // The end of the node stores once more.
  CHECK(floats(output)[5] == 10.0F);
}

TEST_CASE("the first chip that does not come up names itself and who is pending, and all go down again") {
  for (const auto* call : {"set_device", "window_create", "window_import", "window_commit"}) {
    CAPTURE(call);
    Simulation sim(node_of(3));
    sim.fault(testing::fail_call(call, 1).with("no power"));
    const auto error = error_of([&] { sim.node(); });
    REQUIRE(error);
    CHECK(*error == Errc::bootstrap_failed);
    CHECK(error->message().find("chip 1 bootstrap failed: ") == 0);
    CHECK(error->message().find("no power") != std::string::npos);
    CHECK(error->hint() == "still pending: chip0, chip2");
    while (sim.steps(1000) > 0) {
    }
    CHECK(sim.actors() == 0);
    CHECK(sim.script().live_contexts() == 0);
    // Nothing keeps another try from succeeding.
    CHECK(sim.node().chip_contexts().size() == 3);
  }
}

TEST_CASE("a configuration that cannot be right fails before any chip is touched") {
  auto fails = [](const SimulationOptions& options, const std::string& text) {
    CAPTURE(text);
    Simulation sim(options);
    sim.fault(testing::fail_call("create_device_context", -1).with("touched"));
    const auto error = error_of([&] { sim.node(); });
    REQUIRE(error);
    CHECK(*error == Errc::bootstrap_failed);
    CHECK_MESSAGE(error->message().find(text) != std::string::npos, error->message());
  };
  auto options = node_of(2);
  options.chip_bootstrap_configs[1].buffers[0].placement = "bogus";
  fails(options, "chip 1 bootstrap failed: ValueError: ");
  options = node_of(2);
  options.chip_bootstrap_configs[1].comm->rank = 0;
  fails(options, "chip 1 bootstrap failed: ValueError: communicator 'here': rank 0 is two chips");
  options = node_of(2);
  options.chip_bootstrap_configs[0].comm->nranks = 3;
  fails(options, "nranks is 2 here and 3 on another chip");
  options = node_of(2);
  for (auto& config : options.chip_bootstrap_configs) config.comm->nranks = 3;
  fails(options, "rank 2 is no chip of this node");
  options = node_of(2);
  options.chip_bootstrap_configs[1].comm->window_size = 8192;
  fails(options, "window_size is 8192 here");
  options = node_of(2);
  options.chip_bootstrap_configs[0].buffers[0].load_from_host = true;
  options.chip_bootstrap_configs[0].host_inputs = {{"input", "/troupe-test-nothing-is-here", 64}};
  fails(options, "chip 0 bootstrap failed: FileNotFoundError: ");
  SimulationOptions few{.chips = 3};
  few.chip_bootstrap_configs.resize(2);
  Simulation sim(few);
  const auto error = error_of([&] { sim.node(); });
  REQUIRE(error);
  CHECK(error->message() == "chip_bootstrap_configs length (2) must equal the number of chips (3)");
}

TEST_CASE("a chip without communicator comes up with an empty context, a node without configs has none") {
  SimulationOptions options{.chips = 1};
  options.chip_bootstrap_configs.resize(1);
  Simulation sim(options);
  const auto contexts = sim.node().chip_contexts();
  REQUIRE(contexts.size() == 1);
  CHECK(contexts[0].nranks == 1);
  CHECK(contexts[0].device_ctx == 0);
  Simulation plain;
  const auto error = error_of([&] { plain.node().chip_contexts(); });
  REQUIRE(error);
  CHECK(*error == Errc::wrong_state);
}

TEST_CASE(
    "a member that dies or is reset ends its configured communicator, which is formed anew, and loaded") {
  const auto name = test::shared_name("again");
  auto input = comm::HostSegment::create(name, 64).value();
  floats(input)[0] = 21.0F;
  auto options = node_of(2);
  options.chip_bootstrap_configs[0].buffers[0].load_from_host = true;
  options.chip_bootstrap_configs[0].host_inputs = {{"input", name, 64}};
  Simulation sim(options);
  add_kernels(sim);
  auto& node = sim.node();
  auto result = node.tensor<float>({16});
  auto see = [&] {
    node.run(twice_everywhere);
    node.run(
        [](Orchestrator& n, Tensor to) {
          n.submit("twice", in(n.configured_domain().rank(0).buffer("result")), out_existing(to), on_chip(0));
        },
        result);
    return result.host<float>()[0];
  };
  CHECK(see() == 84.0F);
  floats(input)[0] = 1.0F;
  sim.kill(1);
  while (sim.steps(1000) > 0) {
  }
  CHECK(node.chip_contexts().size() == 2);
  CHECK(see() == 4.0F);
  floats(input)[0] = 2.0F;
  node.chip(0).reset();
  CHECK(see() == 8.0F);
  CHECK(node.status().children[0].state == "up");
}

TEST_CASE("plan: names that all ranks have alike belong to the domain, others to their chip") {
  auto a = member(0, 2), b = member(1, 2);
  b.buffers.push_back({.name = "own", .nbytes = 8});
  b.buffers[1].nbytes = 128;
  BootstrapPlan plan;
  REQUIRE_FALSE(BootstrapPlan::make({a, b}, {{4, 0}, {7, 1}}, plan));
  REQUIRE(plan.groups().size() == 1);
  CHECK(plan.groups()[0].chips == std::vector<std::int32_t>{4, 7});
  CHECK(plan.groups()[0].buffers.size() == 1);
  CHECK(plan.groups()[0].buffers.count("input") == 1);
  actors::RankInfo rank;
  rank.base = 0x1000;
  rank.bytes = 64 + 128;
  // The window that was given is smaller than what was asked for.
  const auto cut = plan.context(7, &rank);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().message().find("overflows window size 192") != std::string::npos);
  rank.bytes = 4096;
  CHECK(plan.context(7, &rank)->buffer_ptrs.at("own") == 0x1000 + 192);
}
