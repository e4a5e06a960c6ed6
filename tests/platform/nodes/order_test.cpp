// Copies of few bytes, which nobody waits for, and of many, which go another way: each finds what was copied
// before it.
#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "between.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr std::size_t many = 5 * part_bytes, few = 1024, pieces = 4;

struct Pair {
  Pair() : between(node), chip(node.chip(0, {1, 2}, between.address())) {
    there = chip.context->malloc(many).value();
    put_many(0);
    // Both ways are there by now.
    REQUIRE(get_many() == std::vector<std::byte>(many));
  }
  static std::uint64_t offset_of(std::size_t piece) { return piece * part_bytes + 17; }
  void put_few(unsigned value) {
    const std::vector<std::byte> some(few, std::byte(value));
    for (std::size_t i = 0; i < pieces; ++i)
      REQUIRE(chip.context->copy_to(there + offset_of(i), some.data(), some.size()));
  }
  bool put_many(unsigned value) {
    const std::vector<std::byte> all(many, std::byte(value));
    return chip.context->copy_to(there, all.data(), all.size()).has_value();
  }
  std::vector<std::byte> get_many() {
    std::vector<std::byte> all(many, std::byte(0xff));
    CHECK(chip.context->copy_from(all.data(), there, all.size()));
    return all;
  }
  /// Copies of few bytes are kept on their way until what comes after them has been done, or waits for them.
  void do_while_held(unsigned value, const std::function<void()>& next) {
    constexpr auto each = sizeof(FrameHeader) + sizeof(PutPart) + few;
    between.hold_calls(true);
    put_few(value);
    while (between.held_calls() < pieces * each) std::this_thread::yield();
    std::atomic<bool> done{false};
    std::thread other([&] {
      next();
      done = true;
    });
    while (!done && between.held_calls() <= pieces * each) std::this_thread::yield();
    between.hold_calls(false);
    other.join();
  }

  TestNode node;
  Between between;
  IsolatedChip chip;
  std::uint64_t there = 0;
};

}  // namespace

TEST_CASE("many bytes that are read are as small copies before have left them") {
  Pair pair;
  for (unsigned round = 1; round < 4; ++round) {
    std::vector<std::byte> came;
    pair.do_while_held(round, [&] { came = pair.get_many(); });
    std::vector<std::byte> wanted(many);
    for (std::size_t i = 0; i < pieces; ++i)
      std::fill_n(wanted.begin() + static_cast<std::ptrdiff_t>(Pair::offset_of(i)), few, std::byte(round));
    CHECK(came == wanted);
  }
}

TEST_CASE("many bytes that are written stay, whatever small copies were made before") {
  Pair pair;
  for (unsigned round = 1; round < 4; ++round) {
    bool well = false;
    pair.do_while_held(100 + round, [&] { well = pair.put_many(round); });
    CHECK(well);
    CHECK(pair.get_many() == std::vector<std::byte>(many, std::byte(round)));
  }
}
