#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "context_link.hpp"

namespace troupe::platform {

enum class Phase : std::uint8_t { created, ready, finalized, closed };

struct DeviceContext::State {
  DeviceApi api;
  std::unique_ptr<ContextLink> link;
  troupe_device_context* handle = nullptr;
  std::atomic<Phase> phase = Phase::created;  // read by status and abort from other threads
  std::atomic<std::int32_t> device_id = -1;
  void* comm = nullptr;
  void* comm_stream = nullptr;

  /// Success, or the platform's code with its text: "malloc(4096 bytes) failed: <text>".
  Result<void> answer(std::int32_t code, const std::string& what) const;
  /// Why a call cannot be made now, as a sentence.
  Error wrong_phase(const std::string& what) const;
  /// Fails unless a device is set.
  Result<void> need_device(const std::string& what) const;
  Result<void> need_open(const std::string& what) const;
  /// The platform lacks an optional function.
  Error unsupported(const char* symbol) const;
  /// Takes a communication session down as far as possible; the first failure is answered.
  Result<void> end_comm();
  /// The same, without waiting for the other ranks where the platform can.
  void leave_comm();
  void quarantine();
};

}  // namespace troupe::platform
