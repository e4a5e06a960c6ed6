#include "border/context.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "troupe/runtime/limits.hpp"

using troupe::platform::Errc;
using namespace troupe::platform::common;

troupe::Error troupe_device_context::wrong_state() const {
  if (closing_) return Error(Errc::invalid_state, "the device is being reset");
  switch (state_) {
    case TROUPE_STATE_FINALIZED:
      return Error(Errc::finalized, "this device context was finalized");
    case TROUPE_STATE_QUARANTINED:
      return Error(Errc::quarantined, "this device context is quarantined: a kernel did not return");
    case TROUPE_STATE_READY:
      return Error(Errc::invalid_state, "a device is set already", "reset_device first");
    default:
      return Error(Errc::invalid_state, "no device is set", "call set_device first");
  }
}

troupe::Result<void> troupe_device_context::check_reentry() const {
  std::shared_ptr<Chip> chip;
  {
    const std::lock_guard lock(mutex_);
    chip = chip_;
  }
  if (chip == nullptr || !chip->inside_callback()) return {};
  return Error(Errc::reentrant_call, "the device ABI was called from inside a completion callback",
               "hand the completion to another thread, or to an actor");
}

troupe::Result<void> troupe_device_context::set_option(const char* name, const char* value) {
  if (name == nullptr || value == nullptr)
    return Error(Errc::invalid_argument, "a null option name or value");
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_CREATED || closing_) return wrong_state();
  return platform_->set_option(name, value);
}

troupe::Result<void> troupe_device_context::set_device(std::int32_t number) {
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_CREATED || closing_) return wrong_state();
  const std::uint32_t devices = platform_->devices();
  if (devices == 0) return platform_->no_device();
  if (number < 0 || static_cast<std::uint32_t>(number) >= devices) {
    const std::string more = platform_->more_chips();
    return Error(Errc::no_such_device, "no device " + std::to_string(number),
                 "devices are 0.." + std::to_string(devices - 1) + (more.empty() ? "" : "; " + more));
  }
  auto chip = platform_->make_chip(host_, number);
  if (!chip) return chip.error();
  chip_ = *std::move(chip);
  state_ = TROUPE_STATE_READY;
  return {};
}

troupe::Result<void> troupe_device_context::close_chip(troupe_device_state afterwards) {
  std::shared_ptr<Chip> chip;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == TROUPE_STATE_FINALIZED && afterwards == TROUPE_STATE_FINALIZED) return {};
    if (state_ == TROUPE_STATE_FINALIZED || closing_) return wrong_state();
    chip = chip_;
    if (chip == nullptr) {
      state_ = afterwards;
      return {};
    }
    closing_ = true;
  }
  auto closed = chip->close();
  const std::lock_guard lock(mutex_);
  closing_ = false;
  state_ = closed ? afterwards : TROUPE_STATE_QUARANTINED;
  if (closed) chip_.reset();
  return closed;
}

troupe::Result<void> troupe_device_context::reset() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == TROUPE_STATE_QUARANTINED) return wrong_state();
  }
  return close_chip(TROUPE_STATE_CREATED);
}

troupe::Result<void> troupe_device_context::finalize() { return close_chip(TROUPE_STATE_FINALIZED); }

troupe::Result<std::shared_ptr<Chip>> troupe_device_context::chip() const {
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_READY || closing_) return wrong_state();
  if (chip_->lost()) {
    return Error(Errc::lost, "the device has died", "reset_device, then set_device, may bring it back");
  }
  return chip_;
}

troupe::Result<void> troupe_device_context::describe(troupe_device_properties& properties) const {
  if (properties.size < sizeof properties) {
    return Error(Errc::invalid_argument,
                 "troupe_device_properties of " + std::to_string(properties.size) + " bytes");
  }
  properties = {};
  properties.size = sizeof properties;
  properties.device_count = platform_->devices();
  properties.max_tensors = troupe::runtime::limits::chip_tensors;
  properties.max_scalars = troupe::runtime::limits::chip_scalars;
  properties.queue_depth = RunQueue::depth;
  const std::lock_guard lock(mutex_);
  platform_->describe(properties, chip_.get());
  properties.device_id = chip_ != nullptr ? chip_->number() : -1;
  return {};
}

troupe::Result<void> troupe_device_context::report(troupe_device_status& status, troupe_core_status* cores,
                                                   std::size_t capacity, std::size_t& count) const {
  if (status.size < sizeof status) {
    return Error(Errc::invalid_argument, "troupe_device_status of " + std::to_string(status.size) + " bytes");
  }
  if (cores == nullptr && capacity != 0) {
    return Error(Errc::invalid_argument, "null cores for " + std::to_string(capacity) + " entries");
  }
  status = {};
  status.size = sizeof status;
  count = 0;
  std::shared_ptr<Chip> chip;
  {
    const std::lock_guard lock(mutex_);
    status.state = state_;
    chip = chip_;
  }
  if (chip == nullptr) return {};
  if (status.state == TROUPE_STATE_READY && chip->lost()) status.state = TROUPE_STATE_LOST;
  chip->report(status);
  count = chip->report_cores(cores, capacity);
  return {};
}

std::int32_t troupe_device_context::note(Outcome failure) noexcept {
  const std::lock_guard lock(error_mutex_);
  error_code_ = failure.code;
  error_text_ = std::move(failure.message);
  return failure.code;
}

std::int32_t troupe_device_context::note_thrown(const char* function) noexcept {
  return note(outcome_of_thrown(function));
}

void troupe_device_context::last_error(std::int32_t* code, char* text, std::size_t capacity) const noexcept {
  const std::lock_guard lock(error_mutex_);
  if (code != nullptr) *code = error_code_;
  if (text == nullptr || capacity == 0) return;
  const std::size_t length = std::min(error_text_.size(), capacity - 1);
  std::memcpy(text, error_text_.data(), length);
  text[length] = '\0';
}
