#pragma once

#include <caf/all.hpp>
#include <cstdint>

namespace troupe::actors {

/// An executor reminds itself: what was asked to end when its run or task was given up, does it still run?
struct GiveUp {
  std::uint64_t task = 0;  ///< the executor's own number of it
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GiveUp)
