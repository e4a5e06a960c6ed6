// Many bytes to a chip of a node and back: over connections of their own, which only the chip's program gets.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "between.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

std::vector<std::uint64_t> pattern(std::uint64_t seed, std::size_t words) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> made(words);
  for (auto& word : made) word = random();
  return made;
}

Welcome welcome_to(const Guest& guest) {
  const auto heard = guest.hear(Kind::welcome);
  REQUIRE(heard);
  return Reader(heard->payload).get<Welcome>();
}

void join(const Guest& guest, std::int32_t way, const Token& token) {
  auto claim = claim_of_this_build();
  claim.chip = way;
  claim.token = token;
  guest.say(Kind::claim, Writer().put(claim).text("node"));
}

/// Somebody who has a chip, and its token.
struct Holder : Guest {
  explicit Holder(const TestNode& node) : Guest(node) {
    claim(0);
    token = welcome_to(*this).token;
    REQUIRE(hear(Kind::hello));
    SetUp facts;
    facts.staging_bytes = 65536;
    REQUIRE(ask(Kind::set_up, Writer().put(facts).text("").text("guest")).code == 0);
    REQUIRE(ask(Kind::set_device, Writer().put(std::int32_t{0})).code == 0);
  }
  Token token{};
};

}  // namespace

TEST_CASE("many bytes go to a chip and back, of several threads at once, and each finds its own") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (std::uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      // Around the size from which on they have a connection of their own, and no round numbers.
      const auto words = 1 + (part_bytes / 8) * (t + 1) / 2 - t % 3;
      const auto bytes = words * sizeof(std::uint64_t);
      const auto there = chip.context->malloc(bytes).value();
      for (std::uint64_t round = 0; round < 4; ++round) {
        const auto sent = pattern(t * 100 + round, words);
        std::vector<std::uint64_t> came(words);
        chip.context->copy_to(there, sent.data(), bytes).value();
        chip.context->copy_from(came.data(), there, bytes).value();
        right += came == sent ? 1 : 0;
      }
      chip.context->free(there).value();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 32);
}

TEST_CASE("many bytes for where there is no room are refused as a whole, and the chip stays") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto bytes = 3 * part_bytes;
  const auto there = chip.context->malloc(bytes).value();
  std::vector<std::byte> some(bytes + 4096, std::byte{5}), back(bytes);
  chip.context->copy_to(there, some.data(), bytes).value();
  CHECK_FALSE(chip.context->copy_to(there + 4096, some.data(), bytes));
  CHECK_FALSE(chip.context->copy_from(some.data(), there + 4096, bytes));
  chip.context->copy_from(back.data(), there, bytes).value();
  CHECK(back.back() == std::byte{5});
}

TEST_CASE("who has not the token of a chip gets none of its bytes, and each connection is there once") {
  const TestNode node;
  for (const auto way : {Claim::to_device, Claim::from_device}) {
    const Holder holder(node);
    CHECK(holder.token != Token{});
    auto wrong = holder.token;
    wrong.back() ^= 1U;
    const Guest stranger(node);
    join(stranger, way, wrong);
    CHECK(welcome_to(stranger).code != 0);
    CHECK(stranger.rest() == 0);
    const Guest other(node), again(node);
    join(other, way, holder.token);
    CHECK(welcome_to(other).code == 0);
    join(again, way, holder.token);
    CHECK(welcome_to(again).code != 0);
  }
}

TEST_CASE("a transfer that is none ends the chip's connections, and the program hears why") {
  const TestNode node;
  for (const auto way : {Claim::to_device, Claim::from_device}) {
    const Holder holder(node);
    const Guest bytes(node);
    join(bytes, way, holder.token);
    REQUIRE(welcome_to(bytes).code == 0);
    BulkOrder order;
    order.magic ^= 1;
    order.bytes = 1;
    bytes.say(Writer().put(order).bytes());
    CHECK(contains(holder.last_words(), "no order for bytes"));
    CHECK(bytes.rest() == 0);
  }
}

TEST_CASE("a read that fails on the device is told in its place, and what was asked for after it is there") {
  const TestNode node;
  Holder holder(node);
  const auto size = 5 * part_bytes;
  const auto made = holder.ask(Kind::allocate, Writer().put(std::uint64_t{size}));
  const auto there = made.value<std::uint64_t>();
  const Guest bytes(node);
  join(bytes, Claim::from_device, holder.token);
  REQUIRE(welcome_to(bytes).code == 0);
  BulkOrder beyond, good;
  beyond.device = there + size - part_bytes;
  beyond.bytes = 20 * part_bytes;
  good.device = there;
  good.bytes = 8;
  bytes.say(Writer().put(beyond).put(good).bytes());
  const auto slice = [&] { return bytes.take_value<BulkSlice>(); };
  const auto first = slice();
  CHECK(first.code == 0);
  CHECK(first.bytes == part_bytes);
  bytes.skip(first.bytes);
  const auto second = slice();
  CHECK(second.code != 0);
  bytes.skip(second.bytes);
  const auto third = slice();
  CHECK(third.code == 0);
  CHECK(third.bytes == 8);
}

TEST_CASE("an order that comes in two pieces is one") {
  const TestNode node;
  Holder holder(node);
  const auto size = 3 * part_bytes;
  const auto there = holder.ask(Kind::allocate, Writer().put(std::uint64_t{size})).value<std::uint64_t>();
  const Guest bytes(node);
  join(bytes, Claim::from_device, holder.token);
  REQUIRE(welcome_to(bytes).code == 0);
  BulkOrder first, second;
  first.device = second.device = there;
  first.bytes = size;
  second.bytes = 8;
  Writer both;
  both.put(first).put(second);
  constexpr auto piece = sizeof first + sizeof second / 2;
  // While it works on the first it has half of the second.
  bytes.say(both.bytes().first(piece));
  for (std::uint64_t came = 0; came < size;) {
    const auto slice = bytes.take_value<BulkSlice>();
    REQUIRE(slice.code == 0);
    bytes.skip(slice.bytes);
    came += slice.bytes;
  }
  bytes.say(both.bytes().subspan(piece));
  bytes.say_no_more();
  const auto last = bytes.take_value<BulkSlice>();
  CHECK(last.code == 0);
  CHECK(last.bytes == 8);
}

TEST_CASE("a connection for many bytes may end between two transfers and is there once more, never inside") {
  const TestNode node;
  for (const auto way : {Claim::to_device, Claim::from_device}) {
    Holder holder(node);
    for (int round = 0; round < 3; ++round) {
      std::int32_t refused = 1;
      while (refused != 0) {  // until the node has seen that the last one has gone
        const Guest bytes(node);
        join(bytes, way, holder.token);
        refused = welcome_to(bytes).code;
      }
    }
    CHECK(holder.ask(Kind::ping, Writer()).code == 0);
    for (std::int32_t refused = 1; refused != 0;) {
      const Guest bytes(node);
      join(bytes, way, holder.token);
      refused = welcome_to(bytes).code;
      BulkOrder order;
      if (refused == 0) bytes.say(Writer().put(order).bytes().first(sizeof order / 2));
    }
    CHECK(contains(holder.last_words(), "lost a connection for many bytes"));
  }
}

TEST_CASE("a node that ends in the middle of a transfer ends it, with its name") {
  for (const bool to_device : {true, false}) {
    CAPTURE(to_device);
    TestNode node;
    Between between(node);
    IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
    const auto bytes = 64 * part_bytes;  // more than there is room for on the way
    const auto there = chip.context->malloc(bytes).value();
    std::vector<std::byte> some(bytes);
    // Makes the connection; then nothing gets through to the node.
    const auto copy = [&] {
      return to_device ? chip.context->copy_to(there, some.data(), bytes)
                       : chip.context->copy_from(some.data(), there, bytes);
    };
    REQUIRE(copy());
    between.hold_bytes(true);
    std::thread ends([&] {
      between.wait_for_bytes();
      node.end();
    });
    const auto done = copy();
    ends.join();
    REQUIRE_FALSE(done);
    CHECK(done.error() == platform::Errc::lost);
    CHECK_MESSAGE(contains(done.error().message(), between.address()), render(done.error()));
    between.hold_bytes(false);
  }
}
