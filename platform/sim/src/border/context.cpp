#include "border/context.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "troupe/runtime/limits.hpp"

using troupe::platform::Errc;
using namespace troupe::platform::sim;

namespace {
constexpr std::uint32_t device_count = 65536;  // simulated devices cost nothing until they are set
}  // namespace

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
  std::shared_ptr<Device> device;
  {
    const std::lock_guard lock(mutex_);
    device = device_;
  }
  if (device == nullptr || !device->queue().inside_callback()) return {};
  return Error(Errc::reentrant_call, "the device ABI was called from inside a completion callback",
               "hand the completion to another thread, or to an actor");
}

troupe::Result<void> troupe_device_context::set_option(const char* name, const char* value) {
  if (name == nullptr || value == nullptr)
    return Error(Errc::invalid_argument, "a null option name or value");
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_CREATED || closing_) return wrong_state();
  return options_.set(name, value);
}

troupe::Result<void> troupe_device_context::set_device(std::int32_t number) {
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_CREATED || closing_) return wrong_state();
  if (number < 0 || static_cast<std::uint32_t>(number) >= device_count) {
    return Error(Errc::no_such_device, "no device " + std::to_string(number),
                 "devices are 0.." + std::to_string(device_count - 1));
  }
  device_ = Device::create(host_, options_, number);
  state_ = TROUPE_STATE_READY;
  return {};
}

troupe::Result<void> troupe_device_context::close_device(troupe_device_state afterwards) {
  std::shared_ptr<Device> device;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == TROUPE_STATE_FINALIZED && afterwards == TROUPE_STATE_FINALIZED) return {};
    if (state_ == TROUPE_STATE_FINALIZED || closing_) return wrong_state();
    device = device_;
    if (device == nullptr) {
      state_ = afterwards;
      return {};
    }
    closing_ = true;
  }
  auto closed = device->close();
  const std::lock_guard lock(mutex_);
  closing_ = false;
  state_ = closed ? afterwards : TROUPE_STATE_QUARANTINED;
  if (closed) device_.reset();
  return closed;
}

troupe::Result<void> troupe_device_context::reset() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == TROUPE_STATE_QUARANTINED) return wrong_state();
  }
  return close_device(TROUPE_STATE_CREATED);
}

troupe::Result<void> troupe_device_context::finalize() { return close_device(TROUPE_STATE_FINALIZED); }

troupe::Result<std::shared_ptr<Device>> troupe_device_context::device() const {
  const std::lock_guard lock(mutex_);
  if (state_ != TROUPE_STATE_READY || closing_) return wrong_state();
  return device_;
}

troupe::Result<void> troupe_device_context::describe(troupe_device_properties& properties) const {
  if (properties.size < sizeof properties) {
    return Error(Errc::invalid_argument,
                 "troupe_device_properties of " + std::to_string(properties.size) + " bytes");
  }
  properties = {};
  properties.size = sizeof properties;
  architecture.name.copy(properties.architecture, sizeof properties.architecture - 1);
  properties.device_count = device_count;
  properties.features =
      TROUPE_FEATURE_MODULES | TROUPE_FEATURE_FOREIGN_BYTES | TROUPE_FEATURE_WINDOWS | TROUPE_FEATURE_COMM;
  properties.clusters = architecture.clusters;
  properties.aic_per_cluster = 1;
  properties.aiv_per_cluster = 2;
  properties.control_threads = architecture.max_aicpu_threads;
  properties.max_tensors = troupe::runtime::limits::chip_tensors;
  properties.max_scalars = troupe::runtime::limits::chip_scalars;
  properties.queue_depth = RunQueue::depth;
  properties.counter_hz = architecture.counter_hz;
  properties.l1_bytes = architecture.aic_l1_bytes;
  properties.ub_bytes = architecture.aiv_ub_bytes;
  properties.l0_bytes = architecture.aic_l0a_bytes;
  const std::lock_guard lock(mutex_);
  properties.memory_bytes = options_.memory_bytes;
  properties.device_id = device_ != nullptr ? device_->number() : -1;
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
  std::shared_ptr<Device> device;
  {
    const std::lock_guard lock(mutex_);
    status.state = state_;
    device = device_;
  }
  if (device == nullptr) return {};
  device->report(status);
  count = device->report_cores(cores, capacity);
  return {};
}

std::int32_t troupe_device_context::note(const Outcome& failure) noexcept {
  const std::lock_guard lock(error_mutex_);
  error_code_ = failure.code;
  error_text_ = failure.message;
  return failure.code;
}

void troupe_device_context::last_error(std::int32_t* code, char* text, std::size_t capacity) const noexcept {
  const std::lock_guard lock(error_mutex_);
  if (code != nullptr) *code = error_code_;
  if (text == nullptr || capacity == 0) return;
  const std::size_t length = std::min(error_text_.size(), capacity - 1);
  std::memcpy(text, error_text_.data(), length);
  text[length] = '\0';
}
