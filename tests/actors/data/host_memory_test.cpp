#include "data/host_memory.hpp"

#include <doctest/doctest.h>

#include <random>
#include <thread>
#include <vector>

#include "data/buffer.hpp"
#include "support/random.hpp"

using namespace troupe;
using namespace troupe::actors;

TEST_CASE(
    "holes: what is taken is free, aligned, and nobody else's, and what is given back comes together again") {
  constexpr std::uint64_t size = 1U << 20U;
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(50); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    HoleList holes(size);
    std::map<std::uint64_t, std::uint64_t> taken;  // offset → bytes
    std::uint64_t used = 0;
    auto give_back = [&](std::map<std::uint64_t, std::uint64_t>::iterator block) {
      const auto hole = holes.add({block->first, block->second, block->second});
      CHECK(hole.offset <= block->first);
      CHECK(hole.offset + hole.bytes >= block->first + block->second);
      CHECK(hole.warm <= hole.bytes);
      CHECK(hole.warm >= block->second);
      used -= block->second;
      taken.erase(block);
    };
    for (int step = 0; step < 400; ++step) {
      if (taken.empty() || random() % 3 != 0) {
        const std::uint64_t alignment = random() % 4 == 0 ? 4096 : 64;
        const auto bytes = (1 + random() % (64U << 10U)) / alignment * alignment + alignment;
        const auto at = holes.take(bytes, alignment);
        if (!at) continue;
        CHECK(*at % alignment == 0);
        REQUIRE(*at + bytes <= size);
        const auto next = taken.lower_bound(*at);
        if (next != taken.end()) REQUIRE(*at + bytes <= next->first);
        if (next != taken.begin()) REQUIRE(std::prev(next)->first + std::prev(next)->second <= *at);
        taken.emplace(*at, bytes);
        used += bytes;
      } else {
        auto block = taken.begin();
        std::advance(block, static_cast<std::ptrdiff_t>(random() % taken.size()));
        give_back(block);
      }
      CHECK(holes.all_free(size) == (used == 0));
    }
    while (!taken.empty()) give_back(taken.begin());
    CHECK(holes.all_free(size));
    CHECK(holes.take(size, 4096) == 0);
  }
}

TEST_CASE("buffers outlive the memory they are from") {
  auto memory = std::make_shared<HostMemory>();
  auto x = memory->tensor({1000}, runtime::DType::f32).value();
  memory.reset();
  x.host<float>()[999] = 1.0F;
  CHECK(x.host<float>()[999] == 1.0F);
}

TEST_CASE("a buffer that can never be there is an error that says so") {
  const auto memory = std::make_shared<HostMemory>();
  const auto never = memory->tensor({0xFFFF'FFFFU, 0xFFFFU}, runtime::DType::u8);
  REQUIRE_FALSE(never);
  CHECK(never.error().message().find("no host memory for") == 0);
}

TEST_CASE(
    "memory of the user's that overlaps what ended runs still know is theirs as soon as those let go of it") {
  const auto memory = std::make_shared<HostMemory>();
  std::vector<float> all(64);
  const auto borrow = [&](std::size_t from, std::uint32_t count, std::uint64_t program) {
    return memory->borrow(Tensor::borrow(all.data() + from, {count}).description(), program);
  };
  for (int round = 0; round < 100; ++round) {
    auto old = std::optional(borrow(8, 16, 1).value());
    auto other = std::optional(borrow(40, 8, 1).value());
    old->hold()->kept_by = other->hold()->kept_by = 1;
    CHECK_FALSE(borrow(0, 12, 1));
    CHECK(borrow(10, 4, 1).value().hold() == old->hold());
    std::thread ends([&] {
      old.reset();
      other.reset();
    });
    const auto next = borrow(0, 64, 2);
    ends.join();
    REQUIRE(next);
    CHECK(borrow(40, 8, 2).value().hold() == next->hold());
  }
}
