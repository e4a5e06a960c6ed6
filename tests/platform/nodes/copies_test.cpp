// The copies of a node: any number of them under way, whose parts the chip's process makes in their order and
// answers for, some with a failure.
#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "node/copies.hpp"
#include "support/random.hpp"

using namespace troupe::test;
using namespace troupe::platform::isolation;

namespace {

/// A device of one allocation at address 0, behind the slots.
struct Device {
  std::vector<std::byte> memory, slots = std::vector<std::byte>(NodeCopies::bytes);
  struct Call {
    std::uint64_t number;
    Kind kind;
    CopyCall call;
  };
  std::deque<Call> asked;
  std::map<std::uint64_t, std::vector<std::byte>> read;
  std::map<std::uint64_t, std::int32_t> answers;
  bool room = true;

  NodeCopies::Ways ways() {
    return {[this](std::uint64_t number, Kind kind, const CopyCall& call) {
              asked.push_back({number, kind, call});
            },
            [this](std::uint64_t number, std::uint64_t offset, std::span<const std::byte> bytes) {
              auto& to = read[number];
              REQUIRE(offset + bytes.size() <= to.size());
              std::memcpy(to.data() + offset, bytes.data(), bytes.size());
            },
            [this](std::uint64_t number, std::int32_t code, const std::string&) {
              if (number == 0) return;  // only says that bytes are being taken
              REQUIRE(answers.emplace(number, code).second);
            },
            [this] { return room; }};
  }
  void answer_one(NodeCopies& copies) {
    const auto one = asked.front();
    asked.pop_front();
    const auto& call = one.call;
    REQUIRE(call.offset + call.bytes <= slots.size());
    const bool fits = call.device <= memory.size() && call.bytes <= memory.size() - call.device;
    if (fits && one.kind == Kind::copy_to)
      std::memcpy(memory.data() + call.device, slots.data() + call.offset, call.bytes);
    if (fits && one.kind == Kind::copy_from)
      std::memcpy(slots.data() + call.offset, memory.data() + call.device, call.bytes);
    REQUIRE(copies.answered(one.number, fits ? 0 : 7, fits ? "" : "out of range"));
  }
};

}  // namespace

TEST_CASE("bytes of many copies at once arrive where they belong, and each copy is answered once") {
  for (std::uint64_t seed = first_seed(), last = seed + seeds(20); seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Device device;
    device.memory.resize(4 * part_bytes);
    std::vector<std::byte> expected = device.memory;
    NodeCopies copies(device.slots.data(), device.ways());
    std::uint64_t number = 0;
    for (int step = 0; step < 40; ++step) {
      device.room = random() % 4 != 0;
      if (device.room) copies.go_on();
      const auto bytes = 1 + random() % (2 * part_bytes);
      const auto at = random() % (device.memory.size() + part_bytes / 4);
      const bool fits = at + bytes <= device.memory.size();
      ++number;
      if (random() % 2 == 0) {
        std::vector<std::byte> sent(bytes);
        for (auto& byte : sent) byte = static_cast<std::byte>(random());
        for (std::uint64_t done = 0; done < bytes; done += part_bytes) {
          const auto length = std::min(part_bytes, bytes - done);
          const PutPart part{at + done, done + length == bytes, 0};
          while (!copies.put(number, part, {sent.data() + done, length})) device.answer_one(copies);
          if (at + done + length <= device.memory.size())
            std::memcpy(expected.data() + at + done, sent.data() + done, length);
        }
        while (!device.answers.contains(number)) device.answer_one(copies);
        CHECK((device.answers[number] == 0) == fits);
      } else {
        device.read[number].resize(bytes);
        copies.get(number, {at, bytes});
        while (random() % 3 != 0 && !device.asked.empty()) device.answer_one(copies);
        if (!fits) continue;
        device.room = true;
        copies.go_on();
        while (!device.answers.contains(number)) device.answer_one(copies);
        CHECK(std::memcmp(device.read[number].data(), expected.data() + at, bytes) == 0);
      }
    }
    device.room = true;
    copies.go_on();
    while (!device.asked.empty()) device.answer_one(copies);
    CHECK(device.memory == expected);
    CHECK(device.answers.size() == number);
    CHECK_FALSE(copies.answered(waited_for | 1, 0, {}));
  }
}

TEST_CASE(
    "a number is that of one copy, from its beginning on and also where there is no room for its bytes") {
  Device device;
  device.memory.resize(64 * part_bytes);
  NodeCopies copies(device.slots.data(), device.ways());
  copies.begin_lent(1);
  CHECK_FALSE(copies.may_put(1));
  CHECK_FALSE(copies.may_begin(1));
  const std::vector<std::byte> part(part_bytes);
  std::uint64_t number = 2;
  while (copies.put(number, {0, 1, 0}, part)) ++number;
  CHECK(copies.may_put(number));
  CHECK_FALSE(copies.may_begin(number));
  while (!device.asked.empty()) device.answer_one(copies);
  CHECK_FALSE(device.answers.contains(number));
  CHECK(copies.put(number, {0, 1, 0}, part));
  device.answer_one(copies);
  CHECK(device.answers.at(number) == 0);
  CHECK(copies.may_begin(number));
}
