// The shipped collectives as a user calls them: a module that is loaded, a domain, one group task.

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "comm/collective_golden.hpp"
#include "support/built.hpp"
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
  node.load(tests::built("modules/libtroupe_collectives.so"));
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
