// What a user who is let in can have under way at once, and what belongs to the chip's process alone.
#include <fstream>
#include <string>
#include <thread>

#include "fixture.hpp"
#include "guest.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Stops the process of the guest's chip: it answers nothing any more.
void stop_chip(Guest& guest) {
  const auto which = guest.kernel("isolated_process"), stop = guest.kernel("isolated_stop");
  troupe_tensor_arg tensor{};
  tensor.buffer_bytes = sizeof(std::int64_t);
  tensor.ndims = 1;
  tensor.shape[0] = tensor.strides[0] = 1;
  tensor.dtype = static_cast<decltype(tensor.dtype)>(runtime::DType::i64);
  tensor.tag = TROUPE_TAG_OUT;
  tensor.address_space = TROUPE_SPACE_HOST;
  tensor.buffer = 0;
  set_piece(tensor, staging_piece);
  guest.say(Kind::returns, Writer().put(Region{0, sizeof(std::int64_t), staging_piece, 0}), 1);
  guest.launch(which, {&tensor, 1});
  const auto spilt = guest.hear(Kind::spill);
  REQUIRE(spilt);
  Reader reader(spilt->payload);
  (void)reader.get<PiecePart>();
  const auto process = reader.get<std::int64_t>();
  guest.launch(stop, {});
  for (;;) {
    std::ifstream facts("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(facts, text);
    REQUIRE_FALSE(text.empty());
    if (contains(text, ") T ")) return;
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("calls that a chip does not answer are refused with a code when they are too many") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  stop_chip(guest);
  constexpr std::uint64_t first = 1000, count = 1500;
  for (std::uint64_t i = 0; i < count; ++i) guest.say(Kind::properties, Writer(), first + i);
  std::uint64_t refused = 0;
  for (std::uint64_t last = 0; last < first + count - 1;) {
    const auto heard = guest.hear(Kind::answer);
    REQUIRE(heard);
    last = heard->number;
    if (last < first) continue;
    const auto said = Guest::answer_in(*heard);
    CHECK(said.code == TROUPE_DEVICE_BUSY);
    CHECK_MESSAGE(contains(said.text, "takes no more"), said.text);
    ++refused;
  }
  CHECK(refused > 0);
  CHECK(refused < count);
}

TEST_CASE("copies that a chip does not make end the connection when they are too many") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  stop_chip(guest);
  for (std::uint64_t i = 0; i < 5000; ++i) guest.say(Kind::get, Writer().put(GetCall{0, 1}), 1000 + i);
  const auto words = guest.last_words();
  CHECK_MESSAGE(contains(words, "too many copies"), words);
}

TEST_CASE("runs that never come end the connection when they are too many") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const Region region{0, 8, staging_piece, 0};
  for (std::uint64_t i = 1; i < 140'000; ++i) guest.say(Kind::returns, Writer().put(region), i);
  const auto words = guest.last_words();
  CHECK_MESSAGE(contains(words, "too many runs"), words);
}

TEST_CASE("two copies of one number end the connection") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  stop_chip(guest);
  for (int i = 0; i < 2; ++i) guest.say(Kind::get, Writer().put(GetCall{0, 1}), 1000);
  const auto words = guest.last_words();
  CHECK_MESSAGE(contains(words, "one number"), words);
}

TEST_CASE("a stream of a chip is a number: one that there is not is refused") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto made = guest.ask(Kind::create_stream, Writer());
  REQUIRE(made.code == 0);
  const auto stream = made.value<std::uint64_t>();
  CHECK(stream < 4096);
  CHECK(guest.ask(Kind::destroy_stream, Writer().put(stream)).code == 0);
  for (const std::uint64_t wrong : {std::uint64_t{0x1000}, ~std::uint64_t{0}}) {
    const auto refused = guest.ask(Kind::destroy_stream, Writer().put(wrong));
    CHECK(refused.code == TROUPE_DEVICE_INVALID_ARGUMENT);
  }
}
