// The border when there is no memory: this program's allocations fail when a test says so.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include "runs/runs.hpp"
#include "troupe/platform/device_abi.h"

namespace {
thread_local int left = -1;  ///< allocations of this thread that still work; -1: all
}

void* operator new(std::size_t size) {
  if (left == 0) throw std::bad_alloc();
  if (left > 0) --left;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// All forms: the address sanitizer has its own of what is left out.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("a call that finds no memory answers that, also when there is none for a sentence") {
  auto* context = create_device_context(nullptr);
  REQUIRE(context != nullptr);
  std::array<char, 200> text{};
  int met = 0;
  for (int allocations = 0; allocations < 40; ++allocations) {
    left = allocations;
    const auto code = set_device_option(context, "an option that no platform of this world has", "1");
    left = -1;
    std::int32_t last = 0;
    REQUIRE(device_last_error(context, &last, text.data(), text.size()) == TROUPE_DEVICE_OK);
    CHECK(last == code);
    const std::string said = text.data();
    CAPTURE(said);
    if (code == TROUPE_DEVICE_UNKNOWN_OPTION) {
      CHECK(said.starts_with("set_device_option: "));
      break;  // enough for what it had to say
    }
    REQUIRE(code == TROUPE_DEVICE_OUT_OF_MEMORY);
    CHECK(said == "out of memory");
    ++met;
  }
  CHECK(met > 0);
  destroy_device_context(context);
}

TEST_CASE("what is thrown in a run is its outcome, memory that could not be had by its code") {
  using troupe::platform::common::outcome_of_thrown;
  const auto of = [](auto thrower) {
    try {
      thrower();
    } catch (...) {
      return outcome_of_thrown("the platform failed in a run of", "step");
    }
    return troupe::platform::common::Outcome();
  };
  const auto memory = of([] { throw std::bad_alloc(); });
  CHECK(memory.code == TROUPE_DEVICE_OUT_OF_MEMORY);
  CHECK(memory.message.starts_with("the platform failed in a run of 'step': there is no more memory"));
  const auto other = of([] { throw std::runtime_error("a mistake"); });
  CHECK(other.code == TROUPE_DEVICE_INTERNAL);
  CHECK(other.message == "the platform failed in a run of 'step': a mistake");
  CHECK(of([] { throw 7; }).code == TROUPE_DEVICE_INTERNAL);
}
