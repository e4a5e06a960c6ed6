#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// One option as the host gave it: a name, and a value that is to be a number.
class GivenOption {
 public:
  GivenOption(std::string_view name, std::string_view value) : name_(name), value_(value) {}

  std::string_view name() const noexcept { return name_; }
  /// `least`..`most`; the error says that `expected` was.
  Result<std::uint64_t> number(std::uint64_t least, std::uint64_t most, const std::string& expected) const;
  /// 0 or 1.
  Result<bool> flag() const;
  /// Says which option and value that is, and why not.
  Error refused(const std::string& why) const;
  /// The platform has none of that name: those that it has, its `own` and those of every platform.
  Error unknown(std::initializer_list<std::string_view> own) const;

 private:
  std::string_view name_, value_;
};

/// What set_device_option can change on chips of every platform.
struct ChipOptions {
  std::chrono::milliseconds grace{1000};  ///< grace_ms
  std::uint64_t memory_bytes = 0;         ///< memory_bytes: a lower limit than the chip's own
  /// checked (0 or 1): guards around every argument, outputs poisoned first, inputs compared after. On in
  /// debug builds.
#ifdef TROUPE_CHECKED
  bool checked = true;
#else
  bool checked = false;
#endif
  /// several_communicators (0 or 1): comm_init works while another session of the context is live.
  bool several_communicators = false;

  /// False: it is none of these. The error says which value is not understood. `memory`: what the chip has.
  Result<bool> set(const GivenOption& option, std::uint64_t memory);
};

}  // namespace troupe::platform::common
