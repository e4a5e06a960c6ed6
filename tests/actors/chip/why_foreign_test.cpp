// What a run says of foreign kernels, of which nothing is known but where they are.
#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/built.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

namespace {

std::vector<std::uint8_t> stays() {
  std::ifstream file(tests::built("tests/platform/sim/foreign/stays.so"), std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!bytes.empty());
  return bytes;
}

/// How often `part` is in `text`.
std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Why the run goes on, while so many blocks of a kernel are inside.
std::string why(CoreKind cores, std::uint32_t number) {
  std::int32_t words[3]{};
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.add_kernel("stays", stays(), cores);
  auto run = node.submit([&](Orchestrator& n) {
    n.submit("stays", scalar(reinterpret_cast<std::uint64_t>(&words)), scalar(std::int64_t{0}),
             blocks(number));
  });
  while (__atomic_load_n(&words[0], __ATOMIC_ACQUIRE) != static_cast<std::int32_t>(number))
    std::this_thread::yield();
  auto text = run.why();
  __atomic_store_n(&words[1], 1, __ATOMIC_RELEASE);
  CHECK(run.result());
  return text;
}

}  // namespace

TEST_CASE("why names the core that a foreign kernel is on, of its kind") {
  const auto vector = why(CoreKind::vector, 1);
  CHECK_MESSAGE(vector.starts_with("task 1 \"stays\": with chip0: aiv24: stays, for "), vector);
  const auto matrix = why(CoreKind::matrix, 1);
  CHECK_MESSAGE(matrix.starts_with("task 1 \"stays\": with chip0: aic0: stays, for "), matrix);
}

TEST_CASE("why lists four foreign kernels, and says how many more there are") {
  const auto four = why(CoreKind::vector, 4);
  CHECK_MESSAGE(count(four, ": stays, for ") == 4, four);
  CHECK_MESSAGE(four.find("more kernels") == std::string::npos, four);
  const auto six = why(CoreKind::vector, 6);
  CHECK_MESSAGE(count(six, ": stays, for ") == 4, six);
  CHECK_MESSAGE(six.ends_with("; and 2 more kernels"), six);
  std::set<std::string> cores;
  for (auto at = six.find("aiv"); at != std::string::npos; at = six.find("aiv", at + 1))
    cores.insert(six.substr(at, 5));
  CHECK_MESSAGE(cores.size() == 4, six);
}
