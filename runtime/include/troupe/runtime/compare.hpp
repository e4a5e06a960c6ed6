#pragma once

// How a flag is compared with a value: the one list of comparisons, and the one place that makes them.
// Values; any thread. Numbers that come over a C border may be none of these: nothing compares so.
#include <cstdint>

#include "troupe/runtime/module_abi.h"

namespace troupe::runtime {

enum class Compare : std::uint32_t {
  equal = TROUPE_EQUAL,
  not_equal = TROUPE_NOT_EQUAL,
  greater = TROUPE_GREATER,
  greater_equal = TROUPE_GREATER_EQUAL,
  less = TROUPE_LESS,
  less_equal = TROUPE_LESS_EQUAL,
};

constexpr bool is_compare(std::uint32_t number) noexcept { return number <= TROUPE_LESS_EQUAL; }

/// `seen how wanted`.
template <class T>
constexpr bool compares(T seen, Compare how, T wanted) noexcept {
  switch (how) {
    case Compare::equal:
      return seen == wanted;
    case Compare::not_equal:
      return seen != wanted;
    case Compare::greater:
      return seen > wanted;
    case Compare::greater_equal:
      return seen >= wanted;
    case Compare::less:
      return seen < wanted;
    case Compare::less_equal:
      return seen <= wanted;
  }
  return false;
}

}  // namespace troupe::runtime
