// The shipped collectives as a user calls them: a module that is loaded, a domain, one group task.

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "comm/collective_golden.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using runtime::DType;

TEST_CASE("the shipped all_reduce runs as a group task on simulated chips and gives the golden bits") {
  constexpr std::uint32_t ranks = 3;
  constexpr std::uint64_t rounds = 3;
  constexpr std::size_t count = 5003;
  System system;
  NodeConfig config;
  config.platform = "a2a3sim";
  config.chips = static_cast<int>(ranks);
  auto node = system.node(config);
  node.load(collectives());
  std::vector<Tensor> ins, outs;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      ins.push_back(node.tensor<float>({count}));
      outs.push_back(node.tensor<float>({count}));
      const auto bytes = comm::test::input(round, rank, count, DType::f32);
      std::memcpy(ins.back().host<float>().data(), bytes.data(), bytes.size());
    }
  }
  node.run([&](Orchestrator& n) {
    DomainSpec spec;
    spec.chips = {0, 1, 2};
    spec.buffers = {{"workspace", comm::CollectiveWorkspace::signals + 16384}};
    const Domain domain = n.allocate_domain(spec).get();
    for (std::uint64_t round = 0; round < rounds; ++round) {
      std::size_t at = round * ranks;
      n.submit_group("all_reduce", domain.each([&](auto& rank) {
        const std::size_t mine = at++;
        return args(in(ins[mine]), out(outs[mine]), inout(rank.buffer("workspace")), rank.context());
      }));
    }
  });
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const auto expected = comm::test::reduced_in_order(round, ranks, count, DType::f32, comm::ReduceOp::sum);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const auto got = outs[round * ranks + rank].host<float>();
      CHECK(std::memcmp(got.data(), expected.data(), expected.size()) == 0);
    }
  }
}

TEST_CASE("the shipped collectives say what is wrong with their arguments, by name") {
  System system;
  const auto node = system.node({.chips = 2});
  node.load(collectives());
  const auto refusal = [&](auto make) {
    return test::error_of([&] {
      node.run([&](Orchestrator& n) {
        const DomainSpec spec{.chips = {0, 1},
                              .buffers = {{"data", 64}, {"workspace", collective_workspace}}};
        const Domain domain = n.allocate_domain(spec).get();
        n.submit_group("all_reduce", domain.each(make));
      });
    });
  };
  const auto missing = refusal([](auto& rank) { return args(inout(rank.buffer("data")), rank.context()); });
  REQUIRE(missing);
  CHECK(render(*missing).find(
            "it got 1 tensor arguments, and takes (in, out, workspace), or (data, workspace)") !=
        std::string::npos);
  const auto bytes = refusal([](auto& rank) {
    return args(inout(rank.template buffer<std::uint8_t>("data")), inout(rank.buffer("workspace")),
                rank.context());
  });
  REQUIRE(bytes);
  CHECK(render(*bytes).find("no arithmetic for element type u8") != std::string::npos);
  CHECK_FALSE(refusal([](auto& rank) {
    return args(inout(rank.template buffer<float>("data")), inout(rank.buffer("workspace")), rank.context());
  }));
}
