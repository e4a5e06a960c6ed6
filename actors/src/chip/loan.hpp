#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "chip/device_in_use.hpp"

namespace troupe::actors {

/// The bytes of a chip's copy, lent to another chip that copies them: the lender neither frees nor writes
/// them until the last reference to the loan is gone, wherever that is. Whoever reads them is inside the
/// device meanwhile (`DeviceInUse::try_enter`): the chip may have ended.
struct Loan {
  Loan(std::shared_ptr<DeviceInUse> of, std::uint64_t at, std::function<void()> is_back)
      : device(std::move(of)), address(at), back(std::move(is_back)) {}
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  ~Loan() {
    if (back) back();
  }

  const std::shared_ptr<DeviceInUse> device;
  const std::uint64_t address;
  const std::function<void()> back;  ///< any thread
};

}  // namespace troupe::actors
