#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "chip/chip.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/result.hpp"

/// The handle of the device ABI: the state machine around one chip. Safe from any thread; knows nothing of
/// any other context.
struct troupe_device_context {
 public:
  using Error = troupe::Error;
  template <class T>
  using Result = troupe::Result<T>;
  using Chip = troupe::platform::common::Chip;

  explicit troupe_device_context(const troupe_host* host)
      : host_(host), platform_(troupe::platform::common::make_platform()) {}

  Result<void> set_option(const char* name, const char* value);
  Result<void> set_device(std::int32_t device);
  Result<void> reset();
  Result<void> finalize();

  /// The chip, when the state is `ready`; otherwise why not.
  Result<std::shared_ptr<Chip>> chip() const;
  /// An error when the calling thread is inside a completion callback of this context.
  Result<void> check_reentry() const;

  Result<void> describe(troupe_device_properties& properties) const;
  Result<void> report(troupe_device_status& status, troupe_core_status* cores, std::size_t capacity,
                      std::size_t& count) const;

  /// Remembers a failure for device_last_error; answers its code.
  std::int32_t note(troupe::platform::common::Outcome failure) noexcept;
  /// The same for what is thrown now, inside `function`; also when there is no memory for a sentence.
  std::int32_t note_thrown(const char* function) noexcept;
  void last_error(std::int32_t* code, char* text, std::size_t capacity) const noexcept;

 private:
  Result<void> close_chip(troupe_device_state afterwards);
  Error wrong_state() const;  // with the mutex held

  troupe::platform::common::HostServices host_;
  mutable std::mutex mutex_;
  const std::unique_ptr<troupe::platform::common::Platform> platform_;
  troupe_device_state state_ = TROUPE_STATE_CREATED;
  bool closing_ = false;
  std::shared_ptr<Chip> chip_;  ///< kept when quarantined

  mutable std::mutex error_mutex_;
  std::int32_t error_code_ = 0;
  std::string error_text_;
};
