#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "troupe/actors/tensor.hpp"

namespace troupe::actors {

/// What names a place in a window; the domain's lease is what keeps it there. A submit brings it along, so
/// that a recorder learns of the domain; no run keeps it.
class WindowHold final : public BufferHold {
 public:
  WindowHold(std::shared_ptr<const void> system, std::uint64_t domain)
      : BufferHold(system.get()), system_(std::move(system)), domain_(domain) {}

  /// 0: of none.
  static std::uint64_t domain_of(const BufferHold& hold) noexcept {
    const auto* window = hold.buffer == nullptr ? dynamic_cast<const WindowHold*>(&hold) : nullptr;
    return window != nullptr ? window->domain_ : 0;
  }

 private:
  std::shared_ptr<const void> system_;
  std::uint64_t domain_;
};

}  // namespace troupe::actors
