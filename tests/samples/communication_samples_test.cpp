// The samples of docs/communication.md do what they say. They are files without a test in them, as a reader
// sees them.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

std::string pass_on(std::string text, std::uint32_t rank, const std::string& job);
float sum_over_ranks(std::uint32_t rank, std::uint32_t ranks, const std::string& job);

namespace {

TEST_CASE("the windows sample passes a text on") {
  std::vector<std::string> texts(2);
  {
    std::vector<std::jthread> ranks;
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      ranks.emplace_back(
          [&, rank] { texts[rank] = pass_on(rank == 0 ? "hello" : ".....", rank, "windows-sample"); });
    }
  }
  CHECK(texts == std::vector<std::string>{"hello", "hello"});
}

TEST_CASE("the collectives sample sums over ranks") {
  std::vector<float> sums(2);
  {
    std::vector<std::jthread> ranks;
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      ranks.emplace_back([&, rank] { sums[rank] = sum_over_ranks(rank, 2, "collectives-sample"); });
    }
  }
  CHECK(sums == std::vector<float>{4.0f, 4.0f});
}

}  // namespace
